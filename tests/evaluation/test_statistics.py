import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.evaluation import statistics
from drift.evaluation.counted import Z
from drift.evaluation.outcomes import Outcomes
from drift.evaluation.ratios import METRICS, Ratio, corrected, mean_over_problems, solved_at, solved_within
from drift.evaluation.statistics import Resampling, difference_interval, interval, mcnemar_p_value

MAX_TURNS = 5
solved_turns = st.lists(st.integers(0, MAX_TURNS), min_size=1, max_size=60).map(np.array)
pairs_of_turns = st.lists(st.tuples(st.integers(0, MAX_TURNS), st.integers(0, MAX_TURNS)), min_size=1, max_size=60).map(
    np.array
)
names_of_metrics = st.sampled_from(sorted(METRICS))


def outcomes(solved_turn_P: np.ndarray, seed: int = 0) -> Outcomes:
    """Trajectories solved at these turns, with counts drawn from what is possible."""
    generator = np.random.default_rng(seed)
    num_turns_P = np.where(solved_turn_P > 0, solved_turn_P, MAX_TURNS)
    num_repeated_P = generator.integers(0, num_turns_P)
    num_continued_P = generator.integers(0, num_turns_P)
    return Outcomes(
        MAX_TURNS,
        solved_turn_P,
        num_turns_P,
        num_turns_P - num_repeated_P,
        num_repeated_P,
        num_continued_P,
        generator.integers(0, num_continued_P + 1),
        generator.integers(1, 50, len(solved_turn_P)) * num_turns_P,
        generator.integers(0, num_turns_P + 1),
        generator.integers(1, 50, len(solved_turn_P)),
    )


def drawn_turns(num_problems: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(MAX_TURNS + 1, size=num_problems, p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.02])


def multi_at_k(solved_turn_P: np.ndarray) -> Ratio:
    return solved_within(outcomes(solved_turn_P))


def resampling(solved_turn_P: np.ndarray, num_samples: int = 400, seed: int = 0) -> Resampling:
    return Resampling.of(len(solved_turn_P), num_samples, seed)


@settings(max_examples=60, deadline=None)
@given(solved_turns, names_of_metrics)
def test_every_metric_lies_in_its_interval_and_is_undefined_where_its_interval_is(solved_turn_P, name):
    ratio = METRICS[name](outcomes(solved_turn_P))
    value_X, ends_X2 = ratio.value(), interval(ratio, resampling(solved_turn_P))
    is_defined_X = ~np.isnan(value_X)
    np.testing.assert_array_equal(is_defined_X, ~np.isnan(ends_X2).any(axis=1))
    if ratio.is_share:
        assert ends_X2[is_defined_X].min(initial=0) >= 0 and ends_X2[is_defined_X].max(initial=1) <= 1
    if len(solved_turn_P) >= 20 and name in ("multi_at_k", "distinct_answers", "response_tokens"):
        assert (ends_X2[:, 0] <= value_X + 1e-12).all() and (value_X <= ends_X2[:, 1] + 1e-12).all()


@settings(max_examples=60, deadline=None)
@given(pairs_of_turns, names_of_metrics)
def test_every_difference_has_an_interval_and_a_p_value_exactly_where_it_is_defined(turns_P2, name):
    before, after = (METRICS[name](outcomes(turn_P, seed)) for seed, turn_P in enumerate(turns_P2.T))
    draws = resampling(turns_P2)
    difference_X = after.value() - before.value()
    p_X = statistics.permutation_p_value(difference_X, statistics.permuted_differences(before, after, draws))
    ends_X2 = difference_interval(before, after, draws)
    np.testing.assert_array_equal(np.isnan(difference_X), np.isnan(p_X))
    np.testing.assert_array_equal(np.isnan(difference_X), np.isnan(ends_X2).any(axis=1))
    assert ((p_X > 0) & (p_X <= 1))[~np.isnan(p_X)].all()
    assert (ends_X2[:, 0] <= ends_X2[:, 1])[~np.isnan(difference_X)].all()


@pytest.mark.parametrize("value", [0, 1])
def test_where_all_problems_agree_the_interval_is_exact_and_not_a_point(value):
    num_problems = 30
    (low, high), *_ = interval(multi_at_k(np.full(num_problems, value)), resampling(np.zeros(num_problems)))
    # The end at which what was seen has a probability of 2.5 %.
    inner_end = high if value == 0 else 1 - low
    assert (1 - inner_end) ** num_problems == pytest.approx(0.025)
    assert (low if value == 0 else high) == value


def test_correction_rates_of_few_mistakes_are_as_unsure_as_those_few():
    solved_turn_P = np.array([1] * 97 + [2] * 3)
    rate_interval = interval(solved_at(outcomes(solved_turn_P)), resampling(solved_turn_P))[1]
    assert rate_interval.tolist() == pytest.approx([0.025 ** (1 / 3), 1.0])


def test_a_share_of_few_clustered_responses_is_no_surer_of_its_end_than_none_of_them():
    """One response cut on one of 128 problems: the bootstrap alone would end below where it ends for none."""
    num_cut_P1, num_turns_P1 = np.zeros((128, 1), dtype=int), np.full((128, 1), 3)
    (none,) = interval(Ratio(num_cut_P1, num_turns_P1), Resampling.of(128))
    num_cut_P1[0] = 1
    (one,) = interval(Ratio(num_cut_P1, num_turns_P1), Resampling.of(128))
    assert none.tolist() == pytest.approx([0, 1 - 0.025 ** (1 / 128)])
    assert one[0] == 0 and one[1] >= none[1]


@settings(max_examples=30, deadline=None)
@given(solved_turns)
def test_the_difference_of_identical_policies_is_zero_but_not_certainly_so(solved_turn_P):
    ratio = multi_at_k(solved_turn_P)
    ends_K2 = difference_interval(ratio, ratio, resampling(solved_turn_P))
    bound = Z**2 / (len(solved_turn_P) + Z**2)
    np.testing.assert_allclose(ends_K2, [[-bound, bound]] * MAX_TURNS)


def test_intervals_shrink_like_the_square_root_of_the_number_of_problems():
    few, many = drawn_turns(100, seed=0), np.tile(drawn_turns(100, seed=0), 16)
    width_few, width_many = (
        np.diff(interval(multi_at_k(turn_P), resampling(turn_P, num_samples=2000))) for turn_P in (few, many)
    )
    np.testing.assert_allclose(width_few / width_many, 4, rtol=0.15)


def test_pairing_by_problem_is_narrower_than_the_same_policies_unpaired():
    before_P = drawn_turns(400, seed=0)
    after_P = np.where(np.arange(400) % 10 == 0, 1, before_P)
    shuffled_P, draws = np.random.default_rng(0).permutation(after_P), resampling(before_P, num_samples=2000)
    paired, unpaired = (
        np.diff(difference_interval(multi_at_k(before_P), multi_at_k(turn_P), draws))
        for turn_P in (after_P, shuffled_P)
    )
    assert (paired < unpaired).all()


def test_resampled_sums_agree_with_drawing_problems_one_by_one():
    before_P, after_P = drawn_turns(300, seed=1), drawn_turns(300, seed=2)
    generator = np.random.default_rng(3)
    resamples = []
    for _ in range(4000):
        index_P = generator.integers(0, 300, size=300)
        resamples.append(corrected(outcomes(after_P[index_P])).value() - corrected(outcomes(before_P[index_P])).value())
    one_by_one = np.percentile(resamples, [2.5, 97.5], axis=0).T
    draws = resampling(before_P, num_samples=4000)
    fast = difference_interval(corrected(outcomes(before_P)), corrected(outcomes(after_P)), draws)
    np.testing.assert_allclose(fast, one_by_one, atol=0.012)


def test_every_bootstrap_sample_has_as_many_problems_as_there_are():
    draws = Resampling.of(17, 50, 0)
    assert (draws.drawn_BP.sum(axis=1) == 17).all()


def test_benchmarks_are_drawn_independently_and_the_same_seed_draws_the_same():
    first, again, other = (Resampling.of(50, 20, 0, name) for name in ("math-500", "math-500", "gpqa"))
    np.testing.assert_array_equal(first.drawn_BP, again.drawn_BP)
    np.testing.assert_array_equal(first.swapped_BP, again.swapped_BP)
    assert (first.drawn_BP != other.drawn_BP).any()


def test_sums_taken_in_blocks_are_the_sums(monkeypatch):
    monkeypatch.setattr(statistics, "_NUMBERS_AT_ONCE", 40)
    draws, value_PX = Resampling.of(13, 50, 0), np.random.default_rng(0).normal(size=(13, 2))
    np.testing.assert_allclose(statistics.sums(draws.drawn_BP, value_PX), draws.drawn_BP @ value_PX)


def coverage(truth_X: np.ndarray, interval_of_seed, num_trials: int) -> np.ndarray:
    hits_X = np.zeros(len(truth_X))
    for seed in range(num_trials):
        low_X, high_X = interval_of_seed(seed).T
        hits_X += (low_X <= truth_X) & (truth_X <= high_X)
    return hits_X / num_trials


def test_the_interval_of_multi_at_k_holds_the_truth_about_19_times_in_20():
    def interval_of_seed(seed):
        solved_turn_P = drawn_turns(200, seed)
        return interval(multi_at_k(solved_turn_P), resampling(solved_turn_P, seed=seed))

    covered_K = coverage(np.cumsum([0.3, 0.1, 0.05, 0.03, 0.02]), interval_of_seed, 300)
    assert (covered_K > 0.91).all() and (covered_K < 0.985).all()


def test_the_interval_of_a_share_of_clustered_retries_holds_the_truth_about_19_times_in_20():
    """Retries of one problem are alike: counted one by one they would look far surer than they are."""

    def interval_of_seed(seed):
        generator = np.random.default_rng(seed)
        share_P, num_retries_P = generator.beta(0.5, 0.5, size=150), generator.integers(1, 5, size=150)
        num_repeated_P = generator.binomial(num_retries_P, share_P)
        return interval(Ratio(num_repeated_P[:, None], num_retries_P[:, None]), resampling(share_P, seed=seed))

    (covered,) = coverage(np.array([0.5]), interval_of_seed, 300)
    assert 0.91 < covered < 0.985


def test_the_paired_difference_holds_the_truth_about_19_times_in_20():
    def interval_of_seed(seed):
        generator = np.random.default_rng(seed)
        before_P = generator.random(200) < 0.4
        after_P = np.where(generator.random(200) < 0.25, True, before_P)
        ratios = (mean_over_problems(solved_P[:, None]) for solved_P in (before_P, after_P))
        return difference_interval(*ratios, resampling(before_P, seed=seed))

    (covered,) = coverage(np.array([0.25 * 0.6]), interval_of_seed, 300)
    assert 0.91 < covered < 0.985


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40).map(np.array))
def test_mcnemar_is_the_sum_over_all_ways_the_discordant_problems_could_have_fallen(solved_P2):
    before_P, after_P = solved_P2.T
    gained, lost = int((after_P & ~before_P).sum()), int((before_P & ~after_P).sum())
    num_discordant = gained + lost
    as_extreme = sum(
        math.comb(num_discordant, heads)
        for heads in range(num_discordant + 1)
        if abs(2 * heads - num_discordant) >= abs(gained - lost)
    )
    assert mcnemar_p_value(before_P, after_P) == float(Fraction(as_extreme, 2**num_discordant))


def test_mcnemar_of_thousands_of_discordant_problems_is_a_number():
    before_P = np.arange(12_000) < 5_900
    assert 0.06 < mcnemar_p_value(before_P, ~before_P) < 0.08
    assert mcnemar_p_value(before_P, np.ones(12_000, dtype=bool)) == 0.0


def test_the_permutation_test_agrees_with_mcnemar():
    before_P, after_P = drawn_turns(200, seed=1) == 1, drawn_turns(200, seed=5) > 0
    before_P[:150] = after_P[:150]
    ratios = [mean_over_problems(solved_P[:, None]) for solved_P in (before_P, after_P)]
    permuted = statistics.permuted_differences(*ratios, resampling(before_P, num_samples=8000))
    (p,) = statistics.permutation_p_value(ratios[1].value() - ratios[0].value(), permuted)
    exact = mcnemar_p_value(before_P, after_P)
    assert 0.001 < exact < 0.9
    assert p == pytest.approx(exact, abs=0.015)


def test_p_values_of_equal_policies_are_spread_evenly():
    """Under the null hypothesis, p is below 0.2 in about a fifth of all experiments."""
    small = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        ratios = [Ratio(generator.poisson(2, (60, 1)), generator.poisson(3, (60, 1)) + 1, False) for _ in range(2)]
        permuted = statistics.permuted_differences(*ratios, Resampling.of(60, 200, seed))
        small += statistics.permutation_p_value(ratios[1].value() - ratios[0].value(), permuted)[0] < 0.2
    assert 0.13 < small / 300 < 0.27


def test_permuting_exchanges_whole_problems():
    before, after = Ratio(np.array([[1], [4]]), np.array([[2], [5]])), Ratio(np.array([[0], [2]]), np.array([[1], [3]]))
    draws = Resampling(np.ones((4, 2), dtype=np.uint16), np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.uint8))
    expected = [2 / 4 - 5 / 7, 3 / 5 - 4 / 6, 4 / 6 - 3 / 5, 5 / 7 - 2 / 4]
    np.testing.assert_allclose(statistics.permuted_differences(before, after, draws)[:, 0], expected)


def test_a_bootstrap_p_value_is_small_only_far_from_zero():
    generator = np.random.default_rng(0)
    assert statistics.bootstrap_p_value(generator.normal(5, 1, 2000)) < 0.002
    assert statistics.bootstrap_p_value(generator.normal(0, 1, 2000)) > 0.8
    assert math.isnan(statistics.bootstrap_p_value(np.full(3, np.nan)))


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one problem"):
        Resampling.of(0)
    with pytest.raises(ValueError, match="at least one bootstrap sample"):
        Resampling.of(1, num_samples=0)
