from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.errors import UserError
from drift.shards import Shards, shard_path, write_manifest, write_shard
from drift.training.examples import batches, read_examples
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA


def shards_of(tmp_path, rows) -> Shards:
    write_shard(pa.Table.from_pylist(rows, schema=WEIGHTED_TURN_SCHEMA), shard_path(tmp_path, 0))
    write_manifest(tmp_path, {})
    return Shards.open(tmp_path)


def test_targets_are_the_positions_of_the_spans(tmp_path):
    row = {
        "problem_id": "p",
        "trajectory_id": 0,
        "token_ids": [5, 6, 7, 8, 9, 2],
        "targets": [{"start": 1, "end": 2}, {"start": 4, "end": 6}],
        "weight": 1.5,
        "shaped_return": 1.0,
        "num_turns": 2,
        "success": True,
    }
    (example,) = read_examples(shards_of(tmp_path, [row]))
    assert example.targets.tolist() == [1, 4, 5]
    assert example.token_ids[example.targets].tolist() == [6, 9, 2]
    assert example.weight == 1.5


def test_no_examples_is_one_clear_sentence(tmp_path):
    with pytest.raises(UserError, match=r"nothing to train on.*weighting\.unsolved"):
        read_examples(shards_of(tmp_path, []))


@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 20), st.integers(0, 5))
def test_every_example_is_seen_equally_often(num_examples, batch_size, steps, seed):
    taken = [index for batch in batches(num_examples, batch_size, steps, seed) for index in batch]
    assert len(taken) == batch_size * steps
    counts = Counter(taken)
    assert max(counts.values()) - min(counts.get(index, 0) for index in range(num_examples)) <= 1


@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 20), st.integers(0, 5))
def test_more_steps_begin_with_the_same_batches(num_examples, batch_size, steps, seed):
    shorter = list(batches(num_examples, batch_size, steps, seed))
    assert list(batches(num_examples, batch_size, steps + 3, seed))[:steps] == shorter


def test_another_seed_is_another_order():
    assert np.any(list(batches(50, 10, 5, 0)) != np.array(list(batches(50, 10, 5, 1))))


def test_the_order_of_the_shards_does_not_matter(tmp_path):
    def row(problem_id: str, index: int) -> dict:
        return {
            "problem_id": problem_id,
            "trajectory_id": index,
            "token_ids": [1, 2],
            "targets": [{"start": 1, "end": 2}],
            "weight": 1.0,
            "shaped_return": 1.0,
            "num_turns": 1,
            "success": True,
        }

    rows = [row("b", 0), row("b", 1), row("a", 0)]
    examples = read_examples(shards_of(tmp_path, rows))
    assert [(example.problem_id, example.trajectory_id) for example in examples] == [("a", 0), ("b", 0), ("b", 1)]
