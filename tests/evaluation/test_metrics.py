import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.evaluation.metrics import correction_rate, multi_at_k

budgets_and_turns = st.integers(1, 8).flatmap(
    lambda max_turns: st.tuples(
        st.just(max_turns), st.lists(st.integers(0, max_turns), min_size=1, max_size=60).map(np.array)
    )
)


def share_solved_within(k: int, solved_turns: list[int]) -> float:
    solved = 0
    for turn in solved_turns:
        if turn != 0 and turn <= k:
            solved += 1
    return solved / len(solved_turns)


@given(budgets_and_turns)
def test_multi_at_k_never_decreases_and_is_a_share(drawn):
    max_turns, solved_turn_P = drawn
    multi_K = multi_at_k(solved_turn_P, max_turns)
    assert multi_K.shape == (max_turns,)
    assert (np.diff(multi_K) >= 0).all()
    assert multi_K.min() >= 0 and multi_K.max() <= 1


@given(budgets_and_turns)
def test_multi_at_k_agrees_with_a_plain_loop(drawn):
    max_turns, solved_turn_P = drawn
    plain = [share_solved_within(k, solved_turn_P.tolist()) for k in range(1, max_turns + 1)]
    assert multi_at_k(solved_turn_P, max_turns).tolist() == plain


@given(budgets_and_turns)
def test_correction_rates_factor_what_multi_at_k_leaves_unsolved(drawn):
    max_turns, solved_turn_P = drawn
    rate_K = np.nan_to_num(correction_rate(solved_turn_P, max_turns), nan=1.0)
    np.testing.assert_allclose(1 - multi_at_k(solved_turn_P, max_turns), np.cumprod(1 - rate_K), atol=1e-12)


@given(budgets_and_turns)
def test_correction_rate_is_undefined_exactly_where_nobody_was_wrong_before(drawn):
    max_turns, solved_turn_P = drawn
    nobody_wrong_K = np.append(0, multi_at_k(solved_turn_P, max_turns)[:-1]) == 1
    np.testing.assert_array_equal(np.isnan(correction_rate(solved_turn_P, max_turns)), nobody_wrong_K)


@pytest.mark.parametrize(
    ("solved_turn_P", "max_turns"),
    [([], 5), ([6], 5), ([-1], 5), ([1.5], 5), ([[1, 2]], 5), ([0], 0)],
)
def test_impossible_turns_are_refused_with_a_sentence(solved_turn_P, max_turns):
    with pytest.raises(ValueError, match=r"\.$"):
        multi_at_k(np.array(solved_turn_P), max_turns)
    with pytest.raises(ValueError, match=r"\.$"):
        correction_rate(np.array(solved_turn_P), max_turns)
