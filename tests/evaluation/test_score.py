import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.errors import UserError
from drift.evaluation.metrics import correction_rate, multi_at_k
from drift.evaluation.score import score

POLICY_KEYS = {
    "multi_at_k",
    "ci95",
    "correction_rate",
    "correction_rate_ci95",
    "correction_rate_overall",
    "correction_rate_overall_ci95",
    "distinct_answers",
    "distinct_answers_ci95",
    "distinct_answers_failed",
    "verdicts",
}
TWO_BENCHMARKS = {
    "math-500": {"reference": [1, 0, 0, 2], "trained": [1, 2, 3, 1]},
    "gpqa": {"reference": [0, 0], "trained": [1, 5]},
}


def scored(trajectories, problems, **options):
    return score(trajectories, problems, max_turns=5, bootstrap_samples=200, seed=0, **options)


@pytest.fixture
def two_benchmarks(make_trajectories, make_problems):
    return make_trajectories(TWO_BENCHMARKS), make_problems({"math-500": 4, "gpqa": 2}, {"gpqa": 4})


def test_scores_have_the_documented_keys(two_benchmarks):
    scores = scored(*two_benchmarks)
    assert set(scores) == {"benchmarks", "averages"}
    assert list(scores["benchmarks"]) == ["math-500", "gpqa"]
    for benchmark in scores["benchmarks"].values():
        assert list(benchmark) == ["problems", "reference", "trained", "difference", "chance"]
        assert set(benchmark["reference"]) == set(benchmark["trained"]) == POLICY_KEYS
        assert set(benchmark["difference"]) >= {"multi_at_k", "ci95"}
    assert scores["benchmarks"]["math-500"]["chance"] is None
    assert scores["benchmarks"]["gpqa"]["chance"]["without_repetition"] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_scores_are_the_metrics_of_the_trajectories(two_benchmarks):
    math = scored(*two_benchmarks)["benchmarks"]["math-500"]
    assert math["problems"] == 4
    assert math["reference"]["multi_at_k"] == [0.25, 0.5, 0.5, 0.5, 0.5]
    assert math["trained"]["multi_at_k"] == [0.5, 0.75, 1.0, 1.0, 1.0]
    assert math["difference"]["multi_at_k"] == [0.25, 0.25, 0.5, 0.5, 0.5]
    assert math["trained"]["correction_rate"] == [0.5, 0.5, 1.0, None, None]
    assert math["trained"]["correction_rate_ci95"][4] == [None, None]
    assert math["trained"]["correction_rate_overall"] == 1.0
    assert math["reference"]["correction_rate_overall"] == pytest.approx(1 / 3)
    # Solved at turn 1: one answer; at 2: two; at 3 the answer is missing; failed: two of five turns' answers differ.
    assert math["reference"]["distinct_answers"] == (1 + 2 + 2 + 2) / 4
    assert math["reference"]["distinct_answers_failed"] == 2.0
    assert math["trained"]["distinct_answers_failed"] is None
    assert math["reference"]["verdicts"] == {"correct": 2, "wrong": 9, "unparsable": 2, "timeout": 0}


def test_averages_are_unweighted_means_by_domain(two_benchmarks):
    of_domain = scored(*two_benchmarks, domain_by_benchmark={"math-500": "math", "gpqa": None})["averages"]
    assert of_domain["math"] == {"reference": 0.5, "trained": 1.0}
    assert of_domain["general"] is None
    assert of_domain["all"] == {"reference": 0.25, "trained": 1.0}


turns_of_both = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(turns_of_both)
def test_scores_survive_strict_json_and_agree_with_the_metrics(make_trajectories, make_problems, turns):
    reference, trained = ([int(turn) for turn in of_policy] for of_policy in zip(*turns, strict=True))
    trajectories = make_trajectories({"file": {"reference": reference, "trained": trained}})
    scores = scored(trajectories, make_problems({"file": len(turns)}, {}))
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    entry = scores["benchmarks"]["file"]
    assert entry["trained"]["multi_at_k"] == multi_at_k(np.array(trained), 5).tolist()
    rate_K = np.array(entry["reference"]["correction_rate"], dtype=float)
    np.testing.assert_array_equal(rate_K, correction_rate(np.array(reference), 5))


def test_the_order_of_the_rows_does_not_matter(two_benchmarks):
    trajectories, problems = two_benchmarks
    shuffled = trajectories.take(pa.array(np.random.default_rng(0).permutation(trajectories.num_rows)))
    assert scored(shuffled, problems) == scored(trajectories, problems)


def test_one_policy_alone_is_scored_without_a_difference(make_trajectories, make_problems):
    scores = scored(make_trajectories({"file": {"reference": [1, 0]}}), make_problems({"file": 2}, {}))
    assert list(scores["benchmarks"]["file"]) == ["problems", "reference", "chance"]
    assert scores["averages"]["all"] == {"reference": 0.5}


def test_a_third_policy_is_scored_after_the_two(make_trajectories, make_problems):
    turns = {"sft": [2, 0], "trained": [1, 2], "reference": [1, 0]}
    scores = scored(make_trajectories({"file": turns}), make_problems({"file": 2}, {}))
    expected = ["problems", "reference", "trained", "sft", "difference", "chance"]
    assert list(scores["benchmarks"]["file"]) == expected


@pytest.mark.parametrize(
    ("turns", "num_problems", "sentence"),
    [
        ({"reference": [1, 2], "trained": [1]}, 2, "'trained' has not answered 1 of the problems .*'file-1'"),
        ({"reference": [1, 2]}, 3, "'reference' has not answered 1 of the problems .*'file-2'"),
        ({"reference": [1, 2]}, 1, "Problem 'file-1' .* is not in the problems table"),
        ({"chance": [1]}, 1, "cannot be called 'chance'"),
        ({}, 1, "no trajectory to score"),
    ],
)
def test_tables_that_do_not_match_are_refused(make_trajectories, make_problems, turns, num_problems, sentence):
    with pytest.raises(UserError, match=sentence):
        scored(make_trajectories({"file": turns}), make_problems({"file": num_problems}, {}))


def test_a_second_trajectory_of_the_same_problem_is_refused(make_trajectories, make_problems):
    once = make_trajectories({"file": {"reference": [1]}})
    with pytest.raises(UserError, match="more than once"):
        scored(pa.concat_tables([once, once]), make_problems({"file": 1}, {}))


def test_more_turns_than_the_budget_are_refused(make_trajectories, make_problems):
    trajectories = make_trajectories({"file": {"reference": [0]}})
    with pytest.raises(UserError, match=r"was not given protocol\.max_turns \(3\) turns"):
        score(trajectories, make_problems({"file": 1}, {}), max_turns=3, bootstrap_samples=10, seed=0)


def test_fewer_turns_than_the_budget_are_refused(make_trajectories, make_problems):
    trajectories = make_trajectories({"file": {"reference": [0], "trained": [0]}})
    with pytest.raises(UserError, match=r"was not given protocol\.max_turns \(8\) turns"):
        score(trajectories, make_problems({"file": 1}, {}), max_turns=8, bootstrap_samples=10, seed=0)
