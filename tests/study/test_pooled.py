"""Intervals over problems and seeds hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.evaluation.ratios import Ratio, mean_over_problems
from drift.evaluation.statistics import Resampling, difference_interval, interval, samples
from drift.study.pooled import Difference, measurements, pooled, problem_interval
from drift.study.student_t import half_width, probability_within, quantile

NUM_PROBLEMS, NUM_SIMULATIONS = 120, 300
DRAWS = Resampling.of(NUM_PROBLEMS, 300)
KNOWN = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 29: 2.045, 30: 2.042}
"""97.5 % points of Student's t as tables print them."""


def right(right_P: np.ndarray) -> Ratio:
    return mean_over_problems(np.asarray(right_P)[:, None])


def measured(right_P: np.ndarray, draws: Resampling = DRAWS):
    return measurements({"right": right(right_P)}, draws)["right"]


@pytest.mark.parametrize(("degrees", "expected"), KNOWN.items())
def test_quantiles_are_those_of_the_tables(degrees, expected):
    assert quantile(degrees) == pytest.approx(expected, abs=6e-4)


@given(st.integers(1, 60), st.floats(0.01, 1.5))
def test_the_probability_agrees_with_the_integral_of_the_density(degrees, angle):
    # P(|T| <= sqrt(v) tan a) is proportional to the integral of cos^(v - 1) from 0 to a.
    def integral(end: float) -> float:
        middle = (np.arange(20_000) + 0.5) * end / 20_000
        return (np.cos(middle) ** (degrees - 1)).sum() * end / 20_000

    assert probability_within(angle, degrees) == pytest.approx(integral(angle) / integral(np.pi / 2), abs=1e-6)


def test_no_degree_of_freedom_is_refused():
    with pytest.raises(ValueError, match="at least one degree"):
        quantile(0)


@pytest.mark.parametrize("num_seeds", [3, 10])
@pytest.mark.parametrize("shares_problems", [True, False])
def test_an_interval_holds_the_truth_where_problems_and_seeds_vary(num_seeds, shares_problems):
    """The truth is 0.6; a problem is easier or harder by 0.3, and a seed's luck matters about as much."""
    generator = np.random.default_rng(0)
    own = [Resampling.of(NUM_PROBLEMS, 100, seed) for seed in range(num_seeds)]
    draws = [DRAWS] * num_seeds if shares_problems else own
    held, held_by_wider = 0, 0
    for _ in range(NUM_SIMULATIONS):
        hardness_SP = generator.choice([-0.3, 0.3], size=(1 if shares_problems else num_seeds, NUM_PROBLEMS))
        luck_S1 = generator.normal(scale=0.03 * np.sqrt(num_seeds), size=(num_seeds, 1))
        right_SP = generator.random((num_seeds, NUM_PROBLEMS)) < 0.6 + hardness_SP + luck_S1
        parts_S = [[measured(right_P, drawn)] for right_P, drawn in zip(right_SP, draws, strict=True)]
        over = pooled(parts_S)
        (low, high), half = over.ends_X2[0], half_width(over.value_SX)[0]
        held += low <= 0.6 <= high
        (low, high), value = problem_interval([part for parts in parts_S for part in parts])[0], over.value_X[0]
        held_by_wider += min(low, value - half) <= 0.6 <= max(high, value + half)
    assert held / NUM_SIMULATIONS >= 0.93
    if shares_problems and num_seeds == 10:
        assert held_by_wider / NUM_SIMULATIONS < 0.93  # why the two are added


def test_a_paired_difference_holds_the_truth_where_seeds_vary():
    """Two policies that are equally good, trained three times each: three seeds must not find a difference."""
    generator = np.random.default_rng(1)
    found = 0
    for _ in range(NUM_SIMULATIONS):
        hardness_P = generator.choice([-0.3, 0.3], size=NUM_PROBLEMS)
        luck_2S1 = generator.normal(scale=0.05, size=(2, 3, 1))
        right_2SP = generator.random((2, 3, NUM_PROBLEMS)) < 0.6 + hardness_P + luck_2S1
        pairs = zip(*right_2SP, strict=True)
        low, high = pooled([[Difference(measured(before), measured(after))] for before, after in pairs]).ends_X2[0]
        found += not low <= 0 <= high
    assert found / NUM_SIMULATIONS <= 0.07


rights = st.lists(st.integers(0, 1), min_size=8, max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.lists(rights, min_size=1, max_size=4))
def test_the_interval_holds_the_mean_and_stays_between_0_and_1(rights_S):
    draws = Resampling.of(8, 100)
    over = pooled([[measured(np.array(right_P), draws)] for right_P in rights_S])
    low, high = over.ends_X2[0]
    assert 0 <= low <= over.value_X[0] + 1e-12 and over.value_X[0] - 1e-12 <= high <= 1
    assert low < high
    assert over.value_X[0] == pytest.approx(np.mean(rights_S))


@settings(max_examples=20, deadline=None)
@given(rights, rights)
def test_one_seed_has_the_intervals_of_the_evaluation(before_P, after_P):
    draws = Resampling.of(8, 100)
    before, after = measured(np.array(before_P), draws), measured(np.array(after_P), draws)
    np.testing.assert_allclose(pooled([[after]]).ends_X2, interval(after.ratio, draws))
    own = difference_interval(before.ratio, after.ratio, draws)
    np.testing.assert_allclose(pooled([[Difference(before, after)]]).ends_X2, own)


def test_metrics_that_are_drawn_together_are_as_if_drawn_alone():
    generator = np.random.default_rng(0)
    ratios = {
        name: Ratio(generator.random((NUM_PROBLEMS, width)), np.ones((NUM_PROBLEMS, width)))
        for name, width in {"a": 5, "b": 1}.items()
    }
    for name, measurement in measurements(ratios, DRAWS).items():
        np.testing.assert_allclose(measurement.sample_BX, samples(ratios[name], DRAWS))


def test_a_metric_one_seed_does_not_define_is_not_defined():
    nothing = Ratio(np.zeros((NUM_PROBLEMS, 1)), np.zeros((NUM_PROBLEMS, 1)))
    undefined = measurements({"rate": nothing}, DRAWS)["rate"]
    over = pooled([[measured(np.ones(NUM_PROBLEMS))], [undefined]])
    assert np.isnan(over.value_X).all() and np.isnan(over.ends_X2).all()
