"""A finished variant becomes a cell, and nothing of what its conversations came to is lost."""

import json

import numpy as np
import pandas as pd
import pytest

from drift.errors import UserError
from drift.evaluation.outcomes import OUTCOME_COLUMNS, Outcomes, outcomes_of
from drift.protocol.trajectory import TRAJECTORY_SCHEMA
from drift.shards import Shards, shard_path, write_manifest, write_shard
from drift.study.cell import benchmarks_of, cell_of, outcomes_in

TURNS = {
    "arithmetic": {"reference": [1, 0, 2], "trained": [1, 3, 2]},
    "gpqa_diamond": {"reference": [0], "trained": [1]},
}


def shards(directory, tables, costs):
    directory.mkdir()
    for index, table in enumerate(tables):
        write_shard(table, shard_path(directory, index))
    write_manifest(directory, {}, costs)
    return Shards.open(directory)


@pytest.fixture
def asked(make_problems):
    return make_problems({"arithmetic": 3, "gpqa_diamond": 1}, {"gpqa_diamond": 4})


@pytest.fixture
def held_out(make_trajectories, tmp_path):
    costs = {"reference": {"sampling_seconds": 99.0}, "trained": {"engine_start_seconds": 1.0, "sampling_seconds": 2.0}}
    return shards(tmp_path / "eval", [make_trajectories(TURNS)], costs)


@pytest.fixture
def rollout(make_trajectories, tmp_path):
    """Two shards: trajectories of 1, 5 and 2 turns, and of 3; each response is one token long."""
    tables = [
        make_trajectories({"a": {"reference": turns}}).select(TRAJECTORY_SCHEMA.names) for turns in ([1, 0, 2], [3])
    ]
    return shards(tmp_path / "rollout", tables, {"engine_start_seconds": 20.0, "sampling_seconds": 30.0})


def cell(rollouts, held_out, asked, num_logs=1):
    logs = [pd.DataFrame({"seconds": [1.5, 2.0], "num_tokens": [10, 20]})] * num_logs
    return cell_of("main", 0, "drift", None, {"rounds": 1}, {"mixed": 1}, rollouts, logs, held_out, asked, 5)


def test_a_cell_is_plain_json_and_gives_back_the_outcomes(rollout, held_out, asked):
    made = cell([rollout], held_out, asked)
    read = json.loads(json.dumps(made, allow_nan=False))
    assert read == made
    outcomes = outcomes_of(held_out.read(OUTCOME_COLUMNS))
    for benchmark, of_policy in TURNS.items():
        for policy, solved_turns in of_policy.items():
            again = outcomes_in(read, benchmark, policy)
            rows = outcomes.filter((outcomes["benchmark"] == benchmark) & (outcomes["policy"] == policy))
            expected = Outcomes.of(rows, 5)
            assert again.solved_turn_P.tolist() == solved_turns
            for name in Outcomes.__dataclass_fields__:
                np.testing.assert_array_equal(getattr(again, name), getattr(expected, name))


def test_a_benchmark_knows_its_domain_its_options_and_its_questions(held_out, asked):
    benchmarks = benchmarks_of(held_out.read(OUTCOME_COLUMNS), asked, 5)
    assert [benchmark["domain"] for benchmark in benchmarks.values()] == [None, "general"]
    assert benchmarks["gpqa_diamond"]["num_choices"] == [4]
    assert len(set(benchmarks["arithmetic"]["questions"])) == 3


def test_the_costs_are_those_of_the_whole_rollout_the_training_and_the_trained_policy(rollout, held_out, asked):
    assert cell([rollout], held_out, asked)["costs"] == {
        "sampling_seconds": 50.0,
        "engine_start_seconds": 20.0,
        "training_seconds": 3.5,
        "evaluation_seconds": 3.0,
        "response_tokens": 11,
        "tokens_trained": 30,
        "response_tokens_by_turn": [4, 3, 2, 1, 1],
    }


def test_rounds_add_up_and_a_variant_without_a_rollout_sampled_nothing(rollout, held_out, asked):
    twice = cell([rollout, rollout], held_out, asked, num_logs=2)["costs"]
    assert (twice["sampling_seconds"], twice["training_seconds"], twice["response_tokens"]) == (100.0, 7.0, 22)
    none = cell([], held_out, asked)["costs"]
    assert (none["sampling_seconds"], none["response_tokens_by_turn"]) == (0, [0] * 5)


def test_seconds_that_one_round_did_not_count_are_not_known(rollout, held_out, asked, make_trajectories, tmp_path):
    table = make_trajectories({"a": {"reference": [1]}}).select(TRAJECTORY_SCHEMA.names)
    uncounted = shards(tmp_path / "uncounted", [table], {})
    assert cell([rollout, uncounted], held_out, asked)["costs"]["sampling_seconds"] is None


def test_conversations_about_part_of_the_problems_are_refused(held_out, make_problems):
    more = make_problems({"arithmetic": 4, "gpqa_diamond": 1}, {"gpqa_diamond": 4})
    with pytest.raises(UserError, match="has not answered 1 of the problems"):
        benchmarks_of(held_out.read(OUTCOME_COLUMNS), more, 5)
