import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.errors import UserError
from drift.evaluation.metrics import correction_rate, multi_at_k
from drift.evaluation.score import score
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA

AGREED_KEYS = {
    "multi_at_k",
    "ci95",
    "correction_rate",
    "distinct_answers",
    "distinct_answers_failed",
    "verdicts",
}
WITH_INTERVALS = {
    "correction_rate",
    "correction_rate_overall",
    "distinct_answers",
    "distinct_answers_failed",
    "repeated_answer_rate",
    "format_loss_rate",
    "response_tokens",
    "response_tokens_per_solved",
    "cut_share",
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
    assert set(scores) == {"benchmarks", "averages", "averages_with_intervals"}
    assert list(scores["benchmarks"]) == ["math-500", "gpqa"]
    for benchmark in scores["benchmarks"].values():
        assert list(benchmark) == ["problems", "reference", "trained", "difference", "differences", "chance"]
        intervals = {f"{name}_ci95" for name in WITH_INTERVALS}
        for policy in ("reference", "trained"):
            assert set(benchmark[policy]) == AGREED_KEYS | WITH_INTERVALS | intervals | {"control"}
        p_values = {"p_value"} | {f"{name}_p_value" for name in WITH_INTERVALS}
        assert set(benchmark["difference"]) == {"multi_at_k", "ci95"} | WITH_INTERVALS | intervals | p_values
        assert benchmark["differences"] == {"trained": benchmark["difference"]}
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
    # Only one of the two solved problems 2 and 3, and it was the trained one: 2 * (1/2)^2.
    assert math["difference"]["p_value"] == [1.0, 1.0, 0.5, 0.5, 0.5]
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
def test_scores_survive_strict_json_and_agree_with_the_formulas(make_trajectories, make_problems, turns):
    reference, trained = ([int(turn) for turn in of_policy] for of_policy in zip(*turns, strict=True))
    trajectories = make_trajectories({"file": {"reference": reference, "trained": trained}})
    scores = scored(trajectories, make_problems({"file": len(turns)}, {}))
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    entry = scores["benchmarks"]["file"]
    np.testing.assert_allclose(entry["trained"]["multi_at_k"], multi_at_k(np.array(trained), 5), rtol=1e-14)
    rate_K = np.array(entry["reference"]["correction_rate"], dtype=float)
    np.testing.assert_allclose(rate_K, correction_rate(np.array(reference), 5), rtol=1e-14)


def test_the_order_of_the_rows_does_not_matter(two_benchmarks):
    trajectories, problems = two_benchmarks
    shuffled = trajectories.take(pa.array(np.random.default_rng(0).permutation(trajectories.num_rows)))
    scores = scored(trajectories, problems)
    assert scored(shuffled, problems) == scores
    assert list(scored(shuffled, problems)["benchmarks"]) == list(scores["benchmarks"])


def test_one_policy_alone_is_scored_without_a_difference(make_trajectories, make_problems):
    scores = scored(make_trajectories({"file": {"reference": [1, 0]}}), make_problems({"file": 2}, {}))
    assert list(scores["benchmarks"]["file"]) == ["problems", "reference", "chance"]
    assert scores["averages"]["all"] == {"reference": 0.5}
    assert scores["averages_with_intervals"]["all"]["differences"] == {}


def test_a_third_policy_is_scored_after_the_two(make_trajectories, make_problems):
    turns = {"sft": [2, 0], "trained": [1, 2], "reference": [1, 0]}
    scores = scored(make_trajectories({"file": turns}), make_problems({"file": 2}, {}))
    entry = scores["benchmarks"]["file"]
    assert list(entry) == ["problems", "reference", "trained", "sft", "difference", "differences", "chance"]
    assert entry["difference"]["multi_at_k"] == [0, 0.5, 0.5, 0.5, 0.5]
    assert entry["differences"]["sft"]["multi_at_k"] == [-0.5, 0, 0, 0, 0]


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


def test_averages_have_intervals_narrower_than_their_benchmarks(make_trajectories, make_problems):
    generator = np.random.default_rng(0)
    turns = {
        name: {policy: generator.integers(0, 6, 60).tolist() for policy in ("reference", "trained")} for name in "abcd"
    }
    scores = scored(make_trajectories(turns), make_problems(dict.fromkeys(turns, 60), {}))
    average = scores["averages_with_intervals"]["all"]
    assert average["benchmarks"] == list("abcd")
    trained = average["policies"]["trained"]
    assert trained["multi_at_k"][-1] == pytest.approx(scores["averages"]["all"]["trained"])
    widths = [np.diff(entry["trained"]["ci95"][0])[0] for entry in scores["benchmarks"].values()]
    # Four independent benchmarks of one size: half the width of one of them.
    assert np.diff(trained["ci95"][0])[0] == pytest.approx(np.mean(widths) / 2, rel=0.2)
    difference = average["differences"]["trained"]
    low, high = difference["ci95"][0]
    assert low <= difference["multi_at_k"][0] <= high
    assert 0 < difference["p_value"][0] <= 1


def test_an_average_of_one_benchmark_is_that_benchmark(make_trajectories, make_problems):
    scores = scored(
        make_trajectories({"file": {"reference": [0] * 9, "trained": [1] * 9}}), make_problems({"file": 9}, {})
    )
    of_average, of_benchmark = scores["averages_with_intervals"]["all"], scores["benchmarks"]["file"]
    assert of_average["policies"]["trained"]["ci95"] == of_benchmark["trained"]["ci95"]
    assert of_average["differences"]["trained"]["ci95"] == of_benchmark["difference"]["ci95"]


def attempts_of(make_trajectories, benchmark, is_right_by_problem, policy="reference"):
    """A table of single responses: for each problem whether each attempt at it was right."""
    rows = []
    for index, is_right in enumerate(is_right_by_problem):
        for trajectory_id, right in enumerate(is_right):
            (row,) = make_trajectories({benchmark: {policy: [1]}}).to_pylist()
            turn = row["turns"][0] | {"verdict": "correct" if right else "wrong"}
            row |= {
                "problem_id": f"{benchmark}-{index}",
                "trajectory_id": trajectory_id,
                "turns": [turn],
                "success": right,
            }
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=EVAL_TRAJECTORY_SCHEMA)


def test_independent_attempts_are_the_control_of_the_policy_that_made_them(make_trajectories, make_problems):
    trajectories = make_trajectories({"file": {"reference": [1, 2], "trained": [1, 1]}})
    attempts = attempts_of(make_trajectories, "file", [[True, True, False], [False, False, True]])
    entry = scored(trajectories, make_problems({"file": 2}, {}), attempts=attempts)["benchmarks"]["file"]
    assert entry["trained"]["control"] is None
    control = entry["reference"]["control"]
    assert control["attempts"] == 3
    assert control["pass_at_k"] == pytest.approx([1 / 2, (1 + 2 / 3) / 2, 1])
    assert control["at_equal_tokens"]["multi_at_k"] == 1.0


def types_in(value):
    """Every value in nested lists and mappings by its exact type."""
    if type(value) is dict:
        return {name: types_in(part) for name, part in value.items()}
    return [types_in(part) for part in value] if type(value) is list else type(value)


def test_scores_hold_nothing_but_plain_python(make_trajectories, make_problems):
    """numpy's float64 is a float to json.dumps and to ==, but no plain one."""
    turns = {"math-500": {"reference": [1, 2], "trained": [1, 1]}, "gpqa": {"reference": [0, 0], "trained": [0, 3]}}
    attempts = pa.concat_tables(attempts_of(make_trajectories, name, [[True] + [False] * 7] * 2) for name in turns)
    scores = scored(make_trajectories(turns), make_problems(dict.fromkeys(turns, 2), {"gpqa": 4}), attempts=attempts)
    equal = scores["benchmarks"]["math-500"]["reference"]["control"]["at_equal_tokens"]
    assert equal["difference"] is not None
    again = json.loads(json.dumps(scores, allow_nan=False))
    assert again == scores
    assert types_in(again) == types_in(scores)


def test_an_empty_table_of_attempts_is_no_control(make_trajectories, make_problems):
    trajectories, problems = make_trajectories({"file": {"reference": [1, 2]}}), make_problems({"file": 2}, {})
    none = EVAL_TRAJECTORY_SCHEMA.empty_table()
    assert scored(trajectories, problems, attempts=none) == scored(trajectories, problems)


@pytest.mark.parametrize(
    ("is_right", "sentence"),
    [
        ([[True, True], [False]], "'file-1' .* has fewer attempts than other problems"),
        ([[True]], "'reference' has not answered 1 of the problems"),
        ([[True], [True], [True]], "'file-2' .* is not in the problems table"),
    ],
)
def test_attempts_that_do_not_match_are_refused(make_trajectories, make_problems, is_right, sentence):
    trajectories, problems = make_trajectories({"file": {"reference": [1, 2]}}), make_problems({"file": 2}, {})
    with pytest.raises(UserError, match=sentence):
        scored(trajectories, problems, attempts=attempts_of(make_trajectories, "file", is_right))


def test_conversations_are_not_attempts(make_trajectories, make_problems):
    trajectories, problems = make_trajectories({"file": {"reference": [1, 2]}}), make_problems({"file": 2}, {})
    with pytest.raises(UserError, match="an attempt of several turns"):
        scored(trajectories, problems, attempts=trajectories)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_twelve_thousand_problems_are_scored_in_seconds(make_trajectories, make_problems):
    turns = {
        policy: np.random.default_rng(seed).integers(0, 6, 12_032).tolist()
        for seed, policy in enumerate(["reference", "trained"])
    }
    trajectories, problems = make_trajectories({"mmlu-pro": turns}), make_problems({"mmlu-pro": 12_032}, {})
    score(trajectories, problems, max_turns=5, bootstrap_samples=2000, seed=0)


def test_a_gain_at_the_first_turn_alone_is_no_difference_of_the_correction_rate(make_trajectories, make_problems):
    before = [0, 2] * 40  # half of the mistakes are corrected, by both policies
    after = [1] * 60 + before[60:]
    scores = scored(make_trajectories({"b": {"reference": before, "trained": after}}), make_problems({"b": 80}, {}))
    difference = scores["benchmarks"]["b"]["difference"]
    assert difference["multi_at_k"][0] == 0.75 and difference["p_value"][0] < 0.001
    low, high = difference["correction_rate_overall_ci95"]
    assert low < 0 < high and difference["correction_rate_overall_p_value"] > 0.5
