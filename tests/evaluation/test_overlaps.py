import numpy as np
import pytest

from drift.evaluation.overlaps import overlapping, questions_of, shared_resamplings
from drift.evaluation.score import score
from drift.evaluation.statistics import Resampling
from drift.problems.problem import PROBLEM_SCHEMA

MATH = [f"What is {index} + {index}?" for index in range(40)]


def test_the_same_problem_is_drawn_and_exchanged_alike_in_every_benchmark_that_asks_it():
    some = [31, 2, 17]
    draws = shared_resamplings({"math": MATH, "math500": [f" {MATH[index]}\n" for index in some]}, 50, 0)
    np.testing.assert_array_equal(draws["math500"].drawn_BP, draws["math"].drawn_BP[:, some])
    np.testing.assert_array_equal(draws["math500"].swapped_BP, draws["math"].swapped_BP[:, some])
    assert (draws["math"].drawn_BP.sum(axis=1) == len(MATH)).all()


def test_benchmarks_without_a_common_problem_are_drawn_as_if_alone():
    draws = shared_resamplings({"math": MATH, "gpqa": ["Which?", "Which?"], "math500": MATH[:5]}, 50, 3)
    alone = Resampling.of(2, 50, 3, "gpqa")
    np.testing.assert_array_equal(draws["gpqa"].drawn_BP, alone.drawn_BP)
    np.testing.assert_array_equal(draws["gpqa"].swapped_BP, alone.swapped_BP)


def test_problems_of_one_benchmark_with_the_same_text_stay_problems_of_their_own():
    drawn_BP = shared_resamplings({"a": ["Which?", "Which?"], "b": ["Which?", "Who?"]}, 50, 0)["a"].drawn_BP
    assert (drawn_BP[:, 0] != drawn_BP[:, 1]).any()


def test_benchmarks_are_grouped_through_a_third():
    asked = {"c": "xy", "a": "x", "b": "y", "e": "z", "d": "w"}
    groups = overlapping({name: questions_of(list(texts)) for name, texts in asked.items()})
    assert sorted(groups) == [["a", "b", "c"], ["d"], ["e"]]


@pytest.fixture
def scored(make_trajectories, make_problems):
    """Two benchmarks of 60 problems with the same results; the second asks the first's questions or its own."""

    def score_them(*, is_same: bool):
        generator = np.random.default_rng(0)
        turns = {policy: generator.integers(0, 6, 60).tolist() for policy in ("reference", "trained")}
        problems = make_problems({"a": 60, "b": 60}, {})
        rows = [
            row | {"problem": row["problem"].replace("b, question", "a, question") if is_same else row["problem"]}
            for row in problems.to_pylist()
        ]
        table = problems.from_pylist(rows, schema=PROBLEM_SCHEMA)
        return score(make_trajectories({"a": turns, "b": turns}), table, 5, 2000, 0)

    return score_them


def test_an_average_over_the_same_problems_twice_is_as_unsure_as_over_them_once(scored):
    def width(scores, of):
        return np.diff(scores["averages_with_intervals"]["all"][of]["trained"]["ci95"][0])[0]

    apart, same = scored(is_same=False), scored(is_same=True)
    once = np.diff(same["benchmarks"]["a"]["trained"]["ci95"][0])[0]
    assert width(same, "policies") == pytest.approx(once, rel=0.12)
    for of in ("policies", "differences"):
        assert width(same, of) / width(apart, of) == pytest.approx(np.sqrt(2), rel=0.1)
    p_same, p_apart = (
        scores["averages_with_intervals"]["all"]["differences"]["trained"]["p_value"][0] for scores in (same, apart)
    )
    assert p_apart < p_same
