from itertools import combinations, permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.evaluation.control import after_first_turn, equal_tokens, pass_at_k, retry_tokens, score_control
from drift.evaluation.outcomes import Outcomes
from drift.evaluation.statistics import Resampling

attempts_of_one_problem = st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=1, max_size=6)


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_share_of_all_subsets_that_hold_a_right_attempt(is_right, data):
    k = data.draw(st.integers(1, len(is_right)))
    subsets = list(combinations(is_right, k))
    expected = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(len(is_right), np.array(sum(is_right)), k) == pytest.approx(expected)


def test_pass_at_k_is_unbiased():
    """Its mean over many draws of n attempts is the chance that one of k attempts is right."""
    num_correct = np.random.default_rng(0).binomial(10, 0.2, size=200_000)
    assert pass_at_k(10, num_correct, 3).mean() == pytest.approx(1 - 0.8**3, abs=0.002)


def test_pass_at_k_of_impossible_numbers_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="k is 5"):
        pass_at_k(4, np.array([1]), 5)
    with pytest.raises(ValueError, match="between 0 and"):
        pass_at_k(4, np.array([5]), 1)


@settings(max_examples=60, deadline=None)
@given(attempts_of_one_problem)
def test_the_price_of_retrying_is_the_mean_over_all_orders_of_the_attempts(attempts):
    spent = np.zeros(len(attempts))
    orders = list(permutations(attempts))
    for order in orders:
        total = 0
        for place, (_, tokens) in enumerate(order):
            if not any(before for before, _ in order[:place]):
                total += tokens
            spent[place] += total / len(orders)
    right = sum(tokens for is_right, tokens in attempts if is_right)
    wrong = sum(tokens for is_right, tokens in attempts if not is_right)
    num_correct_P = np.array([sum(is_right for is_right, _ in attempts)])
    fast = retry_tokens(num_correct_P, np.array([right]), np.array([wrong]), len(attempts))
    np.testing.assert_allclose(fast[0], spent)


def test_a_budget_between_two_numbers_of_attempts_mixes_them():
    attempts_B, pass_B = equal_tokens(
        np.array([15.0, 10.0, 5.0, 31.0]), np.array([[10, 20, 30]] * 4), np.array([[0.2, 0.4, 0.5]] * 4)
    )
    np.testing.assert_allclose(attempts_B, [1.5, 1, 0.5, np.nan])
    np.testing.assert_allclose(pass_B, [0.3, 0.2, 0.1, np.nan])


def frame_of(attempts_by_problem):
    rows = [
        {"problem_id": problem_id, "solved_turn": int(is_right), "response_tokens": tokens}
        for problem_id, attempts in attempts_by_problem.items()
        for is_right, tokens in attempts
    ]
    return pl.DataFrame(rows)


def outcomes_of_turns(solved_turn_P, response_tokens_P, first_response_tokens_P):
    solved_turn_P, zero_P = np.array(solved_turn_P), np.zeros(len(solved_turn_P), dtype=int)
    num_turns_P = np.where(solved_turn_P > 0, solved_turn_P, 5)
    tokens = np.array(response_tokens_P), zero_P, np.array(first_response_tokens_P)
    return Outcomes(5, solved_turn_P, num_turns_P, num_turns_P, zero_P, zero_P, zero_P, *tokens)


def test_the_conversation_is_compared_with_its_first_turn_and_retries_at_the_same_price():
    attempts = frame_of({"a": [(True, 10), (False, 10)], "b": [(False, 10), (False, 10)], "c": [(False, 10)] * 2})
    outcomes = outcomes_of_turns([2, 0, 1], [12, 32, 4], [6, 8, 4])
    control = score_control(attempts, outcomes, Resampling.of(3, 200, 0))
    assert control["attempts"] == 2
    assert control["pass_at_k"] == pytest.approx([0.5 / 3, 1 / 3])
    # "a" is tried a second time in half of the orders, "b" and "c" always.
    assert control["response_tokens_at_k"] == pytest.approx([10, 55 / 3])
    equal = control["at_equal_tokens"]
    assert equal["response_tokens"] == 16
    # All begin with the first turn, 18 tokens together; "c" is right and ends; then 20 more, and then 5 for "a" and 10
    # for "b". The conversations spent 48.
    assert equal["attempts"] == pytest.approx(2 + 10 / 15)
    assert equal["pass_at_k"] == pytest.approx((1.5 + 0.5 * 10 / 15) / 3)
    assert equal["multi_at_k"] == pytest.approx(2 / 3)
    assert equal["difference"] == pytest.approx(2 / 3 - equal["pass_at_k"])


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.integers(1, 30), attempts_of_one_problem)
def test_the_retrier_is_the_first_turn_and_then_the_mean_over_all_orders_of_the_attempts(is_right, tokens, attempts):
    solved, spent = np.zeros(len(attempts) + 1), np.zeros(len(attempts) + 1)
    orders = list(permutations(attempts))
    for order in orders:
        tries = [(is_right, tokens), *order]
        for num_tries in range(1, len(tries) + 1):
            until_right = next((j for j in range(num_tries) if tries[j][0]), num_tries - 1)
            solved[num_tries - 1] += any(right for right, _ in tries[:num_tries]) / len(orders)
            spent[num_tries - 1] += sum(cost for _, cost in tries[: until_right + 1]) / len(orders)
    n, num_correct_P = len(attempts), np.array([sum(right for right, _ in attempts)])
    by_verdict = [np.array([sum(cost for right, cost in attempts if right is wanted)]) for wanted in (True, False)]
    pass_PN = np.stack([pass_at_k(n, num_correct_P, k) for k in range(1, n + 1)], axis=-1)
    outcomes = outcomes_of_turns([int(is_right)], [tokens], [tokens])
    solved_PM, tokens_PM = after_first_turn(pass_PN, retry_tokens(num_correct_P, *by_verdict, n), outcomes)
    np.testing.assert_allclose(solved_PM[0], solved, atol=1e-12)
    np.testing.assert_allclose(tokens_PM[0], spent)


def test_a_policy_that_never_corrects_itself_gains_nothing_by_talking_however_it_decodes():
    """Greedy solves twice as many as a drawn attempt, and every turn after the first repeats it."""
    generator = np.random.default_rng(0)
    solved_turn_P = (generator.random(600) < 0.4).astype(int)
    attempts = frame_of(
        {f"{p:03}": [(bool(right), 20) for right in generator.random(8) < 0.16] for p in range(len(solved_turn_P))}
    )
    outcomes = outcomes_of_turns(solved_turn_P, np.where(solved_turn_P == 1, 20, 100), np.full(600, 20))
    control = score_control(attempts, outcomes, Resampling.of(600, 400, 0))
    equal = control["at_equal_tokens"]
    assert control["pass_at_k"][0] < equal["multi_at_k"] / 2
    assert equal["attempts"] > 5
    assert equal["difference"] < -0.1
    assert equal["ci95"][1] < 0


def test_drawn_attempts_that_are_never_right_leave_the_conversation_its_corrections():
    attempts = frame_of({name: [(False, 10)] * 6 for name in "abcd"})
    outcomes = outcomes_of_turns([1, 2, 0, 0], [10, 20, 50, 50], [10, 10, 10, 10])
    equal = score_control(attempts, outcomes, Resampling.of(4, 200, 0))["at_equal_tokens"]
    assert (equal["pass_at_k"], equal["multi_at_k"], equal["difference"]) == (0.25, 0.5, 0.25)


def test_too_few_attempts_for_the_price_leave_the_comparison_undefined():
    attempts, outcomes = (
        frame_of({"a": [(False, 10)], "b": [(False, 10)]}),
        outcomes_of_turns([0, 0], [50] * 2, [9] * 2),
    )
    equal = score_control(attempts, outcomes, Resampling.of(2, 50, 0))["at_equal_tokens"]
    assert equal == {
        "response_tokens": 50.0,
        "attempts": None,
        "pass_at_k": None,
        "multi_at_k": 0.0,
        "difference": None,
        "ci95": [None, None],
        "p_value": None,
    }
