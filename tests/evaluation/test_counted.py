"""Intervals from counts: against their definitions by brute force; how often they hold the truth, by enumeration."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.evaluation.counted import Z, clopper_pearson, tango
from drift.evaluation.ratios import mean_over_problems
from drift.evaluation.statistics import Resampling, difference_interval, interval


def binomial(num_problems: int, share: float) -> np.ndarray:
    return np.array(
        [comb(num_problems, k) * share**k * (1 - share) ** (num_problems - k) for k in range(num_problems + 1)]
    )


@given(st.integers(1, 60), st.data())
def test_an_exact_share_ends_where_what_was_seen_has_a_probability_of_2_5_per_cent(num_problems, data):
    num_right = data.draw(st.integers(0, num_problems))
    low, high = clopper_pearson(num_right, num_problems)
    assert 0 <= low <= num_right / num_problems <= high <= 1
    if num_right < num_problems:
        assert binomial(num_problems, high)[: num_right + 1].sum() == pytest.approx(0.025)
    if num_right > 0:
        assert binomial(num_problems, low)[num_right:].sum() == pytest.approx(0.025)


def test_an_exact_share_of_thousands_of_problems_is_that_of_the_normal_curve():
    low, high = clopper_pearson(7_000, 14_000)
    assert high - low == pytest.approx(2 * Z * np.sqrt(0.25 / 14_000), rel=0.01)


counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n)))
possible_counts = counts.filter(lambda drawn: drawn[0] + drawn[1] <= drawn[2])


@settings(max_examples=60, deadline=None)
@given(possible_counts)
def test_a_paired_difference_ends_where_the_score_test_rejects(drawn):
    """The score test, with the most likely probability of losing found on a grid instead of by a formula."""
    num_gained, num_lost, num_problems = drawn
    ends = tango(*drawn)
    assert -1 <= ends[0] <= (num_gained - num_lost) / num_problems <= ends[1] <= 1
    for end in ends[np.abs(ends) < 0.999]:
        loss = np.linspace(max(0, -end), (1 - end) / 2, 200_001)[1:-1]
        same = num_problems - num_gained - num_lost
        log_likelihood = num_gained * np.log(loss + end) + num_lost * np.log(loss) + same * np.log1p(-2 * loss - end)
        best = loss[log_likelihood.argmax()]
        score = num_gained - num_lost - num_problems * end
        assert abs(score) == pytest.approx(Z * np.sqrt(num_problems * (2 * best + end * (1 - end))), rel=1e-2)


def test_intervals_move_with_the_counts():
    shares = np.array([clopper_pearson(num_right, 128) for num_right in range(129)])
    gained = np.array([tango(num_gained, 2, 128) for num_gained in range(127)])
    lost = np.array([tango(3, num_lost, 128) for num_lost in range(126)])
    assert (np.diff(shares, axis=0) >= 0).all() and (np.diff(shares[1:-1], axis=0) > 0).all()
    assert (np.diff(gained, axis=0) > 0).all() and (np.diff(lost, axis=0) < 0).all()


def test_policies_that_agree_on_all_problems_may_still_differ_a_little():
    bound = Z**2 / (128 + Z**2)
    assert tango(0, 0, 128).tolist() == pytest.approx([-bound, bound])
    assert tango(1, 0, 128)[1] > bound


@pytest.mark.parametrize("impossible", [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(impossible):
    with pytest.raises(ValueError, match="cannot be right"):
        clopper_pearson(*impossible)
    with pytest.raises(ValueError, match="cannot be of"):
        tango(impossible[0], 0, impossible[1])


def column(num_right: int, num_problems: int) -> np.ndarray:
    return (np.arange(num_problems) < num_right)[:, None]


@pytest.mark.parametrize("share", [0.01, 0.03, 0.035, 0.5, 0.97])
@pytest.mark.parametrize("num_problems", [30, 100])
def test_the_interval_of_a_share_near_0_or_1_holds_the_truth_at_least_19_times_in_20(share, num_problems):
    draws = Resampling.of(num_problems, 2)
    ends = [interval(mean_over_problems(column(k, num_problems)), draws)[0] for k in range(num_problems + 1)]
    holds = [low <= share <= high for low, high in ends]
    assert binomial(num_problems, share) @ holds >= 0.95


@pytest.mark.parametrize(("gain", "loss"), [(0.02, 0.02), (0.03, 0.01), (0.05, 0.0), (0.01, 0.04)])
def test_the_difference_of_few_discordant_problems_holds_the_truth_about_19_times_in_20(gain, loss):
    """Summed over all counts of gained and lost problems that ever occur, of 100."""
    num_problems, most, draws = 100, 18, Resampling.of(100, 2)
    covered = total = 0.0
    for num_gained in range(most):
        for num_lost in range(most if loss else 1):
            ways = comb(num_problems, num_gained) * comb(num_problems - num_gained, num_lost)
            same = num_problems - num_gained - num_lost
            probability = ways * gain**num_gained * loss**num_lost * (1 - gain - loss) ** same
            if probability > 1e-6:
                after = column(num_gained, num_problems)
                before = column(num_gained + num_lost, num_problems) & ~after
                ((low, high),) = difference_interval(mean_over_problems(before), mean_over_problems(after), draws)
                covered += probability * (low <= gain - loss <= high)
                total += probability
    assert total > 0.999
    assert 0.93 <= covered <= 0.99
