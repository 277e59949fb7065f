"""A part of a rollout is what a smaller rollout would have held, and using all of it changes nothing."""

import tempfile
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.errors import UserError
from drift.evaluation.viewer.conversations import training_conversations
from drift.parameters import WeightingParameters
from drift.pipelines.weighting.nodes import shape_returns, summarize_weights, weigh_trajectories
from drift.problems.problem import Problem
from drift.protocol.trajectory import TRAJECTORY_SCHEMA, Trajectory, Turn, to_table
from drift.shards import Shards, ShardStream
from drift.training.examples import read_examples
from drift.weighting.parts import facts_of_part, part_of_rollout
from drift.weighting.retention import EXAMPLE_INPUTS
from drift.weighting.returns import RETURN_INPUTS

MAX_TURNS = 4
Said = tuple[str | None, int, bool]
"""The answer of a response, how many tokens it has, and whether it is correct."""

responses = st.tuples(st.sampled_from(["1", "2", None]), st.integers(1, 3), st.booleans())
conversations = st.lists(responses, min_size=MAX_TURNS, max_size=MAX_TURNS)
"""What the policy would say, turn by turn, if it were asked as often."""
weightings = st.builds(
    WeightingParameters,
    beta=st.floats(0.05, 10) | st.just(float("inf")),
    unsolved=st.sampled_from(["keep", "drop"]),
    retain=st.sampled_from(["terminal", "all"]),
    n=st.none() | st.integers(1, 3),
    max_turns=st.none() | st.integers(1, MAX_TURNS),
)


def held(problem_id: str, index: int, would_say: list[Said], max_turns: int) -> Trajectory:
    """The conversation as the protocol holds it: until it is solved, or the budget is spent."""
    token_ids, turns = [7, 8], []
    for number, (answer, num_tokens, correct) in enumerate(would_say[:max_turns]):
        token_ids += [50, 51] if turns else []
        start = len(token_ids)
        token_ids += [100 * (number + 1) + place for place in range(num_tokens)]
        verdict = "correct" if correct else "unparsable" if answer is None else "wrong"
        turns.append(Turn(f"I say {answer}", start, len(token_ids), answer, verdict, num_tokens < 3))
        if correct:
            break
    return Trajectory(problem_id, index, token_ids, turns)


def rollout(path: Path, problems: list[list[list[Said]]], n: int, max_turns: int) -> Shards:
    """A finished rollout in two shards, of what the policy would say to each problem."""
    tables = [
        to_table(
            [
                held(f"p{number}", index, would_say, max_turns)
                for number, problem in list(enumerate(problems))[part::2]
                for index, would_say in enumerate(problem[:n])
            ]
        )
        for part in range(2)
    ]
    return save(path, ShardStream(tables, {"n": n, "protocol": {"max_turns": max_turns, "feedback": "Wrong."}}))


def save(path: Path, stream: ShardStream) -> Shards:
    dataset = ParquetShardsDataset(filepath=path)
    dataset.save(stream)
    return dataset.load()


def weighed(path: Path, trajectories: Shards, weighting: WeightingParameters) -> tuple[Shards, Shards]:
    shaped_returns = save(path / "shaped_returns", shape_returns(trajectories, weighting))
    return shaped_returns, save(path / "weighted_turns", weigh_trajectories(trajectories, shaped_returns, weighting))


def whole(weighting: WeightingParameters) -> WeightingParameters:
    return weighting.model_copy(update={"n": None, "max_turns": None})


problems_of_three = st.lists(st.lists(conversations, min_size=3, max_size=3), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(problems_of_three, weightings)
def test_a_part_of_a_rollout_is_what_a_smaller_rollout_would_have_held(problems, weighting):
    n, max_turns = weighting.n or 3, weighting.max_turns or MAX_TURNS
    with tempfile.TemporaryDirectory() as directory:
        large = rollout(Path(directory, "large"), problems, 3, MAX_TURNS)
        small = rollout(Path(directory, "small"), problems, n, max_turns)
        assert facts_of_part(large.provenance, weighting) == small.provenance
        for columns in (None, RETURN_INPUTS, EXAMPLE_INPUTS, ["problem_id", "trajectory_id"]):
            for ours, theirs in zip(large.tables(columns), small.tables(columns), strict=True):
                part = part_of_rollout(ours, weighting)
                assert part.schema == ours.schema
                assert part.equals(theirs)
        of_part = weighed(Path(directory, "part"), large, weighting)
        of_small = weighed(Path(directory, "other"), small, whole(weighting))
        for ours, theirs in zip(of_part, of_small, strict=True):
            assert ours.read().equals(theirs.read())
        assert summarize_weights(*of_part, weighting) == summarize_weights(*of_small, weighting)


@settings(max_examples=10, deadline=None)
@given(problems_of_three, weightings)
def test_the_weights_of_each_problem_average_one_over_the_trajectories_that_are_used(problems, weighting):
    with tempfile.TemporaryDirectory() as directory:
        trajectories = rollout(Path(directory, "trajectories"), problems, 3, MAX_TURNS)
        _, weighted_turns = weighed(Path(directory), trajectories, weighting)
        rows = weighted_turns.read(["problem_id", "weight"]).to_pylist()
    for _, of_problem in groupby(rows, key=lambda row: row["problem_id"]):
        weights = [row["weight"] for row in of_problem]
        assert len(weights) == (weighting.n or 3)
        assert np.mean(weights) == pytest.approx(1, rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(problems_of_three, weightings, st.sets(st.integers(1, MAX_TURNS), min_size=1))
def test_only_examples_solved_at_the_turns_asked_for_are_kept_with_the_weights_they_have(problems, weighting, turns):
    solved_at = tuple(turn for turn in turns if turn <= (weighting.max_turns or MAX_TURNS))
    if not solved_at:
        return
    with tempfile.TemporaryDirectory() as directory:
        trajectories = rollout(Path(directory, "trajectories"), problems, 3, MAX_TURNS)
        _, every = weighed(Path(directory, "every"), trajectories, weighting)
        kept_only = weighting.model_copy(update={"solved_at": solved_at})
        _, kept = weighed(Path(directory, "kept"), trajectories, kept_only)
        expected = [row for row in every.read().to_pylist() if row["success"] and row["num_turns"] in solved_at]
        assert kept.read().to_pylist() == expected


SOLVED, WRONG = ("1", 2, True), ("2", 3, False)
FOUR = [
    [[SOLVED, *[WRONG] * 3], [WRONG, SOLVED, WRONG, WRONG], [WRONG, WRONG, SOLVED, WRONG]],
    [[WRONG] * 4, [WRONG] * 3 + [SOLVED], [WRONG, SOLVED, WRONG, WRONG]],
]


@pytest.fixture
def trajectories(tmp_path) -> Shards:
    return rollout(tmp_path / "trajectories", FOUR, 3, MAX_TURNS)


def test_a_whole_rollout_is_passed_on_as_it_is(trajectories):
    for table in trajectories.tables():
        assert part_of_rollout(table, WeightingParameters()) is table


def test_a_part_that_leaves_nothing_out_gives_the_same_files(trajectories, tmp_path):
    everything = WeightingParameters(n=3, max_turns=MAX_TURNS)
    of_whole, of_part = (
        weighed(tmp_path / name, trajectories, weighting)
        for name, weighting in (("whole", WeightingParameters()), ("part", everything))
    )
    for ours, theirs in zip(of_whole, of_part, strict=True):
        assert [file.read_bytes() for file in ours.files()] == [file.read_bytes() for file in theirs.files()]
    assert of_whole[0].provenance.keys() == {"trajectories", "gamma", "penalty"}
    assert of_part[0].provenance.items() >= {"n": 3, "max_turns": MAX_TURNS}.items()


def test_star_and_sft_are_parts_with_equal_weights(trajectories, tmp_path):
    def examples(name: str, **settings) -> list[tuple]:
        weighting = WeightingParameters(beta=float("inf"), unsolved="keep", **settings)
        rows = weighed(tmp_path / name, trajectories, weighting)[1].read().to_pylist()
        assert {row["weight"] for row in rows} == {1.0}
        assert all(len(row["token_ids"]) == row["targets"][-1]["end"] for row in rows)
        return [(row["problem_id"], row["trajectory_id"], row["num_turns"]) for row in rows]

    assert examples("star", max_turns=2, solved_at=(2,)) == [("p0", 1, 2), ("p1", 2, 2)]
    assert examples("both", max_turns=2, solved_at=(1, 2)) == [("p0", 0, 1), ("p0", 1, 2), ("p1", 2, 2)]
    assert examples("sft", max_turns=1, solved_at=(1,)) == [("p0", 0, 1)]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n": 4}, r"weighting\.n: 4 trajectories of each problem are asked for, and 3 were sampled"),
        ({"max_turns": 5}, r"weighting\.max_turns: 5 turns are asked for, .* sampled with at most 4"),
        ({"solved_at": (2, 5)}, r"weighting\.solved_at: turn 5 is asked for, .* have at most 4"),
        ({"max_turns": 2, "solved_at": (3,)}, r"weighting\.solved_at: turn 3 is asked for, .* have at most 2"),
    ],
)
def test_more_than_was_sampled_is_refused_before_anything_is_computed(trajectories, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        shape_returns(trajectories, WeightingParameters(**settings))
    with pytest.raises(UserError, match=sentence):
        weigh_trajectories(trajectories, trajectories, WeightingParameters(**settings))


@pytest.mark.parametrize(
    ("shaped", "asked", "difference"),
    [
        ({}, {"n": 2}, r"weighting\.n null, not 2"),
        ({"n": 2}, {}, r"weighting\.n 2, not null"),
        ({"max_turns": 2}, {"max_turns": 3}, r"weighting\.max_turns 2, not 3"),
    ],
)
def test_returns_of_another_part_are_refused(trajectories, tmp_path, shaped, asked, difference):
    shaped_returns = save(tmp_path / "returns", shape_returns(trajectories, WeightingParameters(**shaped)))
    with pytest.raises(UserError, match=difference):
        weigh_trajectories(trajectories, shaped_returns, WeightingParameters(**asked))


def test_training_on_nothing_names_the_turns_that_were_asked_for(tmp_path):
    trajectories = rollout(tmp_path / "trajectories", [[[WRONG] * 4]], 1, MAX_TURNS)
    weighting = WeightingParameters(solved_at=(1, 2))
    shaped_returns, weighted_turns = weighed(tmp_path, trajectories, weighting)
    summary = summarize_weights(shaped_returns, weighted_turns, weighting)
    assert (summary["num_problems"], summary["all_wrong"], summary["num_examples"]) == (1, 1, 0)
    with pytest.raises(UserError, match=r"nothing to train on: .* solved at turn 1 or 2, and weighting\.solved_at"):
        read_examples(weighted_turns)


def test_the_viewer_shows_the_part_and_what_of_it_is_trained_on(trajectories, tmp_path):
    weighting = WeightingParameters(n=2, max_turns=2, solved_at=(2,))
    tables = weighed(tmp_path, trajectories, weighting)
    problems = [Problem(f"p{number}", "1 + 1?", "2", "math", "sums") for number in range(2)]
    shown = training_conversations(trajectories, *tables, problems, weighting)
    assert (shown.total, shown.total_problems) == (4, 2)
    told = [(said.problem_id, said.trajectory_id, len(said.turns), said.example) for said in shown.conversations]
    assert told == [("p0", 0, 1, "dropped"), ("p0", 1, 2, "kept"), ("p1", 0, 2, "dropped"), ("p1", 1, 2, "dropped")]
    for said in shown.conversations:
        assert len(said.token_ids) == said.turns[-1]["end"]
        assert said.targets == (frozenset({said.turns[-1]["start"]}) if said.example == "kept" else frozenset())


def test_a_shard_without_rows_can_be_cut():
    empty = to_table([])
    assert part_of_rollout(empty, WeightingParameters(n=1, max_turns=1)).equals(TRAJECTORY_SCHEMA.empty_table())
