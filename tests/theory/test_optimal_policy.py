"""The optimum of KL-regularised reinforcement learning is an exponential tilt (Theorems 1 and 2), and the weights are
its density: identities, for any return and any policy.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.weighting.weights import importance_weights

settings_of_the_return = st.fixed_dictionaries({"gamma": st.floats(0.05, 1), "penalty": st.floats(0, 2)})
betas = st.floats(0.05, 20)
seeds = st.integers(0, 2**32 - 1)


def any_policy(problem, seed: int) -> np.ndarray:
    """Random conditionals of every state, from nearly even to nearly certain; none is zero."""
    generator = np.random.default_rng(seed)
    logits_SY = generator.uniform(0.1, 5) * generator.standard_normal(problem.reference_SY.shape)
    return np.exp(logits_SY) / np.exp(logits_SY).sum(axis=1, keepdims=True)


def regularised_return(problem, pi_SY: np.ndarray, return_J: np.ndarray, beta: float) -> float:
    """J(pi) = E_pi[R] - beta KL(pi || pi_ref), as reinforcement learning counts it: a KL at every state visited."""
    pi_J = np.exp(problem.log_likelihood(np.log(pi_SY)))
    visits_SY = problem.responses(pi_J)
    return pi_J @ return_J - beta * (visits_SY * np.log(pi_SY / problem.reference_SY)).sum()


def test_the_problem_is_enumerated_whole(problem):
    assert len(problem.reference_J) == 53
    assert problem.reference_J.sum() == pytest.approx(1, abs=1e-14)
    assert len(problem.population_N) == 1000
    np.testing.assert_allclose(problem.policy(problem.reference_J), problem.reference_SY, atol=1e-14)


@settings(deadline=None)
@given(settings_of_the_return, betas, seeds)
def test_weights_are_the_density_of_the_tilt_with_respect_to_the_reference(problem, of_return, beta, seed):
    """E_ref[w] = 1, w pi_ref = pi*, and so E_ref[w f] = E_pi*[f] for whatever f."""
    return_J = problem.returns(**of_return)
    tilt_J = problem.tilt(return_J, beta)
    weight_N = importance_weights(return_J[problem.population_N], beta)
    assert weight_N.mean() == pytest.approx(1, abs=1e-12)

    weighted_J = np.bincount(problem.population_N, weights=weight_N) / len(weight_N)
    np.testing.assert_allclose(weighted_J, tilt_J, rtol=1e-11)

    f_J = np.random.default_rng(seed).standard_normal(len(tilt_J))
    assert (weight_N * f_J[problem.population_N]).mean() == pytest.approx(tilt_J @ f_J, abs=1e-11)


@settings(deadline=None)
@given(settings_of_the_return, betas)
def test_the_tilt_of_whole_trajectories_is_a_policy(problem, of_return, beta):
    """Feedback is deterministic, so nothing is lost when pi*(tau) is cut into what it answers in each state."""
    tilt_J = problem.tilt(problem.returns(**of_return), beta)
    again_J = np.exp(problem.log_likelihood(np.log(problem.policy(tilt_J))))
    np.testing.assert_allclose(again_J, tilt_J, rtol=1e-11)


@settings(deadline=None)
@given(settings_of_the_return, betas, seeds)
def test_regularised_return_is_the_log_partition_less_the_divergence_from_the_tilt(problem, of_return, beta, seed):
    """J(pi) = beta log Z - beta KL(pi || pi*), for every policy."""
    return_J = problem.returns(**of_return)
    pi_SY = any_policy(problem, seed)
    log_pi_J = problem.log_likelihood(np.log(pi_SY))
    divergence = np.exp(log_pi_J) @ (log_pi_J - np.log(problem.tilt(return_J, beta)))
    expected = beta * problem.log_partition(return_J, beta) - beta * divergence
    scale = 1 + beta * (1 + divergence)
    assert abs(regularised_return(problem, pi_SY, return_J, beta) - expected) <= 1e-12 * scale


@settings(deadline=None)
@given(settings_of_the_return, betas, seeds)
def test_no_policy_has_a_higher_regularised_return_than_the_tilt(problem, of_return, beta, seed):
    return_J = problem.returns(**of_return)
    best_SY = problem.policy(problem.tilt(return_J, beta))
    best = regularised_return(problem, best_SY, return_J, beta)
    assert best == pytest.approx(beta * problem.log_partition(return_J, beta), abs=1e-12 * (1 + beta))
    for pi_SY in (any_policy(problem, seed), problem.reference_SY):
        assert regularised_return(problem, pi_SY, return_J, beta) <= best + 1e-12 * (1 + beta)
