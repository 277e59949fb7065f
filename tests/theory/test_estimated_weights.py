"""N trajectories estimate the weights with an error that falls like 1 / sqrt(N) (Proposition 7)."""

import numpy as np
import pytest

from drift.weighting.weights import importance_weights

NUM_TRAJECTORIES = 2 ** np.arange(2, 11)
NUM_REPETITIONS = 2000


def errors(problem, beta: float, weights) -> np.ndarray:
    """Mean |estimated - exact weight| for each N of `NUM_TRAJECTORIES`, over many draws of N trajectories."""
    generator = np.random.default_rng(0)
    return_J = problem.returns(gamma=0.9, penalty=0.5)
    exact_J = problem.tilt(return_J, beta) / problem.reference_J
    means = []
    for num_trajectories in NUM_TRAJECTORIES:
        drawn_RN = generator.choice(problem.population_N, size=(NUM_REPETITIONS, num_trajectories))
        estimated_RN = np.apply_along_axis(weights, 1, return_J[drawn_RN], beta)
        means.append(np.abs(estimated_RN - exact_J[drawn_RN]).mean())
    return np.array(means)


def assert_falls_like_one_over_the_root_of_n(error_X: np.ndarray) -> None:
    slope, _ = np.polyfit(np.log(NUM_TRAJECTORIES), np.log(error_X), 1)
    assert slope == pytest.approx(-0.5, abs=0.05)


def not_normalised(returns_N: np.ndarray, beta: float) -> np.ndarray:
    """Eq. 13 without its denominator: right up to a factor that no N mends."""
    return np.exp((returns_N - returns_N.max()) / beta)


def normalised_by_the_first_four(returns_N: np.ndarray, beta: float) -> np.ndarray:
    """Eq. 13 with a denominator that does not see more trajectories as N grows."""
    tilted_N = not_normalised(returns_N, beta)
    return tilted_N / tilted_N[:4].mean()


@pytest.mark.parametrize("beta", [0.1, 0.3, 1.0])
def test_estimated_weights_approach_the_exact_ones_like_one_over_the_root_of_n(problem, beta):
    assert_falls_like_one_over_the_root_of_n(errors(problem, beta, importance_weights))


@pytest.mark.parametrize("beta", [0.1, 0.3, 1.0])
def test_their_error_is_that_of_a_mean_of_n_exact_weights(problem, beta):
    """Mean |estimate - w| = |1 - mean of w| in each draw, so sd(w) sqrt(2 / (pi N)) for large N."""
    exact_J = problem.tilt(problem.returns(gamma=0.9, penalty=0.5), beta) / problem.reference_J
    deviation = np.sqrt(problem.reference_J @ (exact_J - 1) ** 2)
    expected_X = deviation * np.sqrt(2 / (np.pi * NUM_TRAJECTORIES))
    is_large_X = NUM_TRAJECTORIES >= 64
    error_X = errors(problem, beta, importance_weights)
    np.testing.assert_allclose(error_X[is_large_X], expected_X[is_large_X], rtol=0.06)


@pytest.mark.parametrize("weights", [not_normalised, normalised_by_the_first_four])
def test_weights_with_another_denominator_do_not(problem, weights):
    with pytest.raises(AssertionError):
        assert_falls_like_one_over_the_root_of_n(errors(problem, 0.3, weights))
