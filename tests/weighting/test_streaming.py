"""Stage 2 from shards to shards: it gives what the plain formulas give, however the problems are sharded."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.errors import UserError
from drift.parameters import WeightingParameters
from drift.pipelines.weighting.nodes import (
    draw_composition,
    draw_weights,
    shape_returns,
    summarize_weights,
    weigh_trajectories,
)
from drift.protocol.trajectory import Trajectory, Turn, to_table
from drift.shards import Shards, ShardStream, shard_path
from drift.weighting.composition import effective_sample_size
from drift.weighting.returns import RETURN_INPUTS, shaped_return
from drift.weighting.weights import importance_weights

Problem = list[Trajectory]

answers = st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=5)
outcomes = st.lists(st.tuples(answers, st.booleans()), min_size=1, max_size=6)
weightings = st.builds(
    WeightingParameters,
    gamma=st.floats(0.5, 1.0),
    beta=st.floats(0.05, 10) | st.just(float("inf")),
    penalty=st.floats(0, 2),
    unsolved=st.sampled_from(["keep", "drop"]),
    prune_below=st.just(0.5),
)


def problem(name: str, conversations: list[tuple[list[str | None], bool]]) -> Problem:
    trajectories = []
    for index, (given_answers, solved) in enumerate(conversations):
        verdicts = ["wrong"] * (len(given_answers) - 1) + ["correct" if solved else "wrong"]
        turns = [
            Turn("text", 4 * turn + 1, 4 * turn + 3, answer, verdict, True)
            for turn, (answer, verdict) in enumerate(zip(given_answers, verdicts, strict=True))
        ]
        trajectories.append(Trajectory(name, index, list(range(turns[-1].end)), turns))
    return trajectories


@st.composite
def problems_and_shardings(draw) -> tuple[list[Problem], list[int], list[int]]:
    problems = [problem(f"p{index}", entry) for index, entry in enumerate(draw(st.lists(outcomes, min_size=1)))]
    sharding = st.lists(st.integers(0, 3), min_size=len(problems), max_size=len(problems)).map(sorted)
    return problems, draw(sharding), draw(sharding)


def sharded(path: Path, problems: list[Problem], shard_of: list[int]) -> Shards:
    shards = [
        [trajectory for entry, at in zip(problems, shard_of, strict=True) if at == shard for trajectory in entry]
        for shard in sorted(set(shard_of))
    ]
    return saved(path, [to_table(trajectories) for trajectories in shards])


def saved(path: Path, tables: list[pa.Table]) -> Shards:
    return save(path, ShardStream(tables, {}))


def save(path: Path, stream: ShardStream) -> Shards:
    dataset = ParquetShardsDataset(filepath=path)
    dataset.save(stream)
    return dataset.load()


def run(path: Path, trajectories: Shards, weighting: WeightingParameters) -> tuple[Shards, Shards, dict]:
    shaped_returns = save(path / "shaped_returns", shape_returns(trajectories, weighting))
    weighted_turns = save(path / "weighted_turns", weigh_trajectories(trajectories, shaped_returns, weighting))
    return shaped_returns, weighted_turns, summarize_weights(shaped_returns, weighted_turns, weighting)


def plain_returns(entry: Problem, weighting: WeightingParameters) -> np.ndarray:
    distinct = [len({turn.answer for turn in trajectory.turns} - {None}) for trajectory in entry]
    success = [trajectory.success for trajectory in entry]
    num_turns = [trajectory.num_turns for trajectory in entry]
    return shaped_return(success, num_turns, distinct, weighting.gamma, weighting.penalty)


@settings(max_examples=15, deadline=None)
@given(problems_and_shardings(), weightings)
def test_what_is_streamed_agrees_with_the_plain_formulas_however_it_is_sharded(problems_and_shardings, weighting):
    problems, *shardings = problems_and_shardings
    plain = [plain_returns(entry, weighting) for entry in problems]
    solved = [[trajectory.success for trajectory in entry] for entry in problems]
    kept = [weighting.unsolved == "keep" or any(entry) for entry in solved]
    weights = [importance_weights(entry, weighting.beta) for entry, keep in zip(plain, kept, strict=True) if keep]
    weight_E = np.concatenate([np.zeros(0), *weights])
    examples = [trajectory for entry, keep in zip(problems, kept, strict=True) if keep for trajectory in entry]
    for sharding in shardings:
        with tempfile.TemporaryDirectory() as directory:
            trajectories = sharded(Path(directory, "trajectories"), problems, sharding)
            shaped_returns, weighted_turns, summary = run(Path(directory), trajectories, weighting)
            returned, rows = shaped_returns.read(), weighted_turns.read().to_pylist()
        np.testing.assert_allclose(returned["shaped_return"], np.concatenate(plain), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose([row["weight"] for row in rows], weight_E, rtol=1e-12)
        assert [(row["problem_id"], row["trajectory_id"]) for row in rows] == [
            (trajectory.problem_id, trajectory.trajectory_id) for trajectory in examples
        ]
        assert [row["token_ids"] for row in rows] == [trajectory.token_ids for trajectory in examples]
        assert summary == pytest.approx(
            {
                "num_problems": len(problems),
                "all_right": sum(all(entry) for entry in solved),
                "mixed": sum(any(entry) and not all(entry) for entry in solved),
                "all_wrong": sum(not any(entry) for entry in solved),
                "num_examples": weight_E.size,
                "num_pruned": int((weight_E < 0.5).sum()),
                "pruned_mass": weight_E[weight_E < 0.5].sum() / weight_E.sum() if weight_E.size else 0,
                "effective_sample_size": effective_sample_size(weight_E),
            },
            rel=1e-9,
        )


TWO = [problem("a", [(["1"], True), (["2", "2"], False)]), problem("b", [(["1"], True), (["3"], False)])]


def test_of_the_turns_only_what_is_needed_is_read(tmp_path):
    table = next(sharded(tmp_path / "trajectories", TWO, [0, 1]).tables(RETURN_INPUTS))
    assert "token_ids" not in table.column_names
    assert [field.name for field in table["turns"].type.value_type] == ["answer"]


def test_a_shard_is_read_when_it_is_asked_for(tmp_path):
    trajectories = sharded(tmp_path / "trajectories", TWO, [0, 1])
    shard_path(trajectories.path, 1).write_bytes(b"never read")
    first = next(iter(shape_returns(trajectories, WeightingParameters()).tables))
    assert first["problem_id"].to_pylist() == ["a", "a"]


def test_returns_of_other_trajectories_are_refused(tmp_path):
    weighting = WeightingParameters()
    trajectories = sharded(tmp_path / "trajectories", TWO, [0, 1])
    shaped_returns = save(tmp_path / "shaped_returns", shape_returns(trajectories, weighting))
    weigh_trajectories(trajectories, shaped_returns, weighting)
    others = [sharded(tmp_path / "fewer", TWO[:1], [0]), sharded(tmp_path / "swapped", TWO[::-1], [0, 1])]
    for other in others:
        with pytest.raises(UserError, match="was not computed from this version"):
            weigh_trajectories(other, shaped_returns, weighting)


def test_a_problem_in_two_shards_is_refused(tmp_path):
    whole = to_table(TWO[0])
    trajectories = saved(tmp_path / "trajectories", [whole.slice(0, 1), whole.slice(1)])
    with pytest.raises(UserError, match=r"shard-000001\.parquet holds only a part of .* problem 'a'"):
        run(tmp_path, trajectories, WeightingParameters())


def test_the_chart_counts_every_shard_also_when_all_examples_are_dropped(tmp_path):
    weighting = WeightingParameters(unsolved="drop")
    unsolved = [problem("a", [(["1"], False)]), problem("b", [(["1"], False)])]
    for name, problems, num_examples in (("some", TWO, 4), ("none", unsolved, 0)):
        trajectories = sharded(tmp_path / name / "trajectories", problems, [0, 1])
        tables_and_summary = run(tmp_path / name, trajectories, weighting)
        returns, weights = draw_weights(*tables_and_summary).data
        assert sum(returns.y) == trajectories.num_rows()
        assert sum(weights.y) == num_examples
        assert sum(int(part.text[0] or 0) for part in draw_composition(tables_and_summary[2]).data) == 2
