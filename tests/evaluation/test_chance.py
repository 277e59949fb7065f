import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.evaluation.chance import chance_with_repetition, chance_without_repetition


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 12))
def test_chance_curves_are_the_mean_of_the_exact_chances(choices, max_turns):
    for k in range(1, max_turns + 1):
        repeating = np.mean([1 - ((c - 1) / c) ** k for c in choices])
        never_repeating = np.mean([min(k, c) / c for c in choices])
        assert chance_with_repetition(np.array(choices), max_turns)[k - 1] == pytest.approx(repeating)
        assert chance_without_repetition(np.array(choices), max_turns)[k - 1] == pytest.approx(never_repeating)


def test_a_guesser_that_never_repeats_itself_is_certain_after_as_many_turns_as_options():
    assert chance_without_repetition(np.array([4, 4]), 5).tolist() == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_guessing_solves_no_problem_without_options():
    assert chance_with_repetition(np.array([2, 0]), 2).tolist() == [0.25, 0.375]
    assert chance_without_repetition(np.array([2, 0]), 2).tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match="number of options"):
        chance_with_repetition(np.array([-1]), 2)
