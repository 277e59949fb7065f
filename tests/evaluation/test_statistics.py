import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.evaluation import metrics, statistics

MAX_TURNS = 5
solved_turns = st.lists(st.integers(0, MAX_TURNS), min_size=1, max_size=200).map(np.array)
pairs_of_turns = st.lists(
    st.tuples(st.integers(0, MAX_TURNS), st.integers(0, MAX_TURNS)), min_size=1, max_size=200
).map(np.array)


def drawn_turns(num_problems: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(MAX_TURNS + 1, size=num_problems, p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.02])


@settings(max_examples=50, deadline=None)
@given(solved_turns)
def test_intervals_cover_their_point_estimates(solved_turn_P):
    multi_low_K, multi_high_K = statistics.multi_at_k_interval(solved_turn_P, MAX_TURNS).T
    multi_K = metrics.multi_at_k(solved_turn_P, MAX_TURNS)
    assert (multi_low_K <= multi_K + 1e-12).all() and (multi_K <= multi_high_K + 1e-12).all()

    rate_K = metrics.correction_rate(solved_turn_P, MAX_TURNS)
    rate_low_K, rate_high_K = statistics.correction_rate_interval(solved_turn_P, MAX_TURNS).T
    defined_K = ~np.isnan(rate_K)
    np.testing.assert_array_equal(defined_K, ~np.isnan(rate_low_K))
    assert (rate_low_K <= rate_K + 1e-12)[defined_K].all() and (rate_K <= rate_high_K + 1e-12)[defined_K].all()


@settings(max_examples=50, deadline=None)
@given(pairs_of_turns)
def test_paired_intervals_cover_the_difference(turns_P2):
    before_P, after_P = turns_P2.T
    difference_K = metrics.multi_at_k(after_P, MAX_TURNS) - metrics.multi_at_k(before_P, MAX_TURNS)
    low_K, high_K = statistics.multi_at_k_difference_interval(before_P, after_P, MAX_TURNS).T
    assert (low_K <= difference_K + 1e-12).all() and (difference_K <= high_K + 1e-12).all()


@settings(max_examples=30, deadline=None)
@given(solved_turns)
def test_the_difference_of_identical_policies_is_exactly_zero(solved_turn_P):
    assert not statistics.multi_at_k_difference_interval(solved_turn_P, solved_turn_P, MAX_TURNS).any()


def test_intervals_shrink_like_the_square_root_of_the_number_of_problems():
    few, many = drawn_turns(100, seed=0), np.tile(drawn_turns(100, seed=0), 16)
    width_few = np.diff(statistics.multi_at_k_interval(few, MAX_TURNS))
    width_many = np.diff(statistics.multi_at_k_interval(many, MAX_TURNS))
    np.testing.assert_allclose(width_few / width_many, 4, rtol=0.15)


def test_pairing_by_problem_is_narrower_than_the_same_policies_unpaired():
    before_P = drawn_turns(400, seed=0)
    after_P = np.where(np.arange(400) % 10 == 0, 1, before_P)
    paired = np.diff(statistics.multi_at_k_difference_interval(before_P, after_P, MAX_TURNS))
    shuffled_P = np.random.default_rng(0).permutation(after_P)
    assert (paired < np.diff(statistics.multi_at_k_difference_interval(before_P, shuffled_P, MAX_TURNS))).all()


def test_multinomial_resampling_agrees_with_drawing_problems_one_by_one():
    before_P, after_P = drawn_turns(300, seed=1), drawn_turns(300, seed=2)
    generator = np.random.default_rng(3)
    resamples = []
    for _ in range(4000):
        index_P = generator.integers(0, 300, size=300)
        before_K = metrics.multi_at_k(before_P[index_P], MAX_TURNS)
        resamples.append(metrics.multi_at_k(after_P[index_P], MAX_TURNS) - before_K)
    one_by_one = np.percentile(resamples, [2.5, 97.5], axis=0).T
    fast = statistics.multi_at_k_difference_interval(before_P, after_P, MAX_TURNS, num_samples=4000)
    np.testing.assert_allclose(fast, one_by_one, atol=0.012)


def test_the_interval_of_multi_at_k_holds_the_truth_about_19_times_in_20():
    truth_K = np.cumsum([0.3, 0.1, 0.05, 0.03, 0.02])
    hits_K = np.zeros(MAX_TURNS)
    for seed in range(300):
        low_K, high_K = statistics.multi_at_k_interval(drawn_turns(200, seed), MAX_TURNS, 500, seed).T
        hits_K += (low_K <= truth_K) & (truth_K <= high_K)
    assert (hits_K / 300 > 0.90).all()


def test_the_same_seed_gives_the_same_interval():
    turns_P = drawn_turns(50, seed=0)
    first, again = (statistics.correction_rate_interval(turns_P, MAX_TURNS, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@given(pairs_of_turns)
@settings(max_examples=30, deadline=None)
def test_overall_correction_rates_lie_in_their_intervals(turns_P2):
    before_P, after_P = turns_P2.T
    before, after = (metrics.overall_correction_rate(turn_P, MAX_TURNS) for turn_P in (before_P, after_P))
    low, high = statistics.overall_correction_rate_interval(before_P)
    assert np.isnan(before) or low - 1e-12 <= before <= high + 1e-12
    low, high = statistics.overall_correction_rate_difference_interval(before_P, after_P)
    assert np.isnan(after - before) or low - 1e-12 <= after - before <= high + 1e-12


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one problem"):
        statistics.multi_at_k_interval(np.array([], dtype=int), MAX_TURNS)
    with pytest.raises(ValueError, match="at least one bootstrap sample"):
        statistics.multi_at_k_interval(np.array([1]), MAX_TURNS, num_samples=0)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 12))
def test_chance_curves_are_the_mean_of_the_exact_chances(choices, max_turns):
    for k in range(1, max_turns + 1):
        repeating = np.mean([1 - ((c - 1) / c) ** k for c in choices])
        never_repeating = np.mean([min(k, c) / c for c in choices])
        assert statistics.chance_with_repetition(np.array(choices), max_turns)[k - 1] == pytest.approx(repeating)
        assert statistics.chance_without_repetition(np.array(choices), max_turns)[k - 1] == pytest.approx(
            never_repeating
        )


def test_a_guesser_that_never_repeats_itself_is_certain_after_as_many_turns_as_options():
    assert statistics.chance_without_repetition(np.array([4, 4]), 5).tolist() == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_guessing_solves_no_problem_without_options():
    assert statistics.chance_with_repetition(np.array([2, 0]), 2).tolist() == [0.25, 0.375]
    assert statistics.chance_without_repetition(np.array([2, 0]), 2).tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match="number of options"):
        statistics.chance_with_repetition(np.array([-1]), 2)
