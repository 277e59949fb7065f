"""Weighted likelihood learns the exponential tilt (Theorems 1, 2 and 5), found by minimising the project's own loss.

Which turns are retained and how tokens are counted decides what is learned; both are stated here exactly.
"""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.training.objective import weighted_nll
from drift.weighting.weights import importance_weights

PAPER = {"gamma": 0.9, "penalty": 0.5}
BETAS = [0.1, 0.3, 1.0]


class Loss:
    """Eq. 14, 15 of some trajectories, each response one token, by `weighted_nll`."""

    def __init__(self, problem, trajectory_N, weight_N, retain: str, token_normalisation: str) -> None:
        self.shape_SY = problem.reference_SY.shape
        turns = problem.turns(trajectory_N)
        kept_T = turns.terminal_T if retain == "terminal" else np.ones_like(turns.terminal_T)
        example_T = turns.example_T[kept_T]
        num_targets_N = np.bincount(example_T) if token_normalisation == "mean" else np.ones(len(trajectory_N))
        self.state_T, self.response_T = turns.state_T[kept_T], turns.response_T[kept_T]
        self.example_T, self.weight_N, self.num_targets_N = map(torch.from_numpy, (example_T, weight_N, num_targets_N))

    def __call__(self, logits_SY: torch.Tensor) -> torch.Tensor:
        nll_T = -torch.log_softmax(logits_SY, dim=1)[self.state_T, self.response_T]
        return weighted_nll(nll_T, self.example_T, self.weight_N, self.num_targets_N, len(self.weight_N))


def minimiser(loss: Loss) -> np.ndarray:
    """Where L-BFGS ends, from a policy that finds every response equally likely: conditionals, shape (S, Y).

    Each state's logits are scaled by how much weight reaches it, which changes no minimum but makes it quick to find.
    """
    weight_T = loss.weight_N[loss.example_T] / loss.num_targets_N[loss.example_T]
    mass_S = torch.bincount(torch.from_numpy(loss.state_T), weights=weight_T) / len(loss.weight_N)
    scale_S1 = mass_S.rsqrt()[:, None]
    scaled_SY = torch.zeros(loss.shape_SY, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [scaled_SY], max_iter=400, tolerance_grad=1e-11, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(scale_S1 * scaled_SY)
        value.backward()
        return value

    optimiser.step(closure)
    return torch.softmax(scale_S1 * scaled_SY.detach(), dim=1).numpy()


def divergence(problem, from_J: np.ndarray, to_SY: np.ndarray) -> float:
    """KL(p || pi) over whole trajectories."""
    return float(from_J @ (np.log(from_J) - problem.log_likelihood(np.log(to_SY))))


def exact_loss(problem, return_J: np.ndarray, beta: float, retain: str, token_normalisation: str) -> Loss:
    """E_ref[w(tau) (-log pi)]: the loss of every trajectory, as often as the reference takes it."""
    weight_N = importance_weights(return_J[problem.population_N], beta)
    return Loss(problem, problem.population_N, weight_N, retain, token_normalisation)


@pytest.mark.parametrize("beta", BETAS)
def test_summed_over_all_turns_the_loss_is_least_at_the_tilt(problem, beta):
    """argmin E_ref[w(tau) (-log pi(tau))] is pi*(tau) ∝ pi_ref(tau) exp(R(tau) / beta)."""
    return_J = problem.returns(**PAPER)
    learned_SY = minimiser(exact_loss(problem, return_J, beta, "all", "sum"))
    tilt_J = problem.tilt(return_J, beta)
    assert divergence(problem, tilt_J, learned_SY) <= 1e-8
    assert divergence(problem, np.exp(problem.log_likelihood(np.log(learned_SY))), problem.policy(tilt_J)) <= 1e-8
    assert divergence(problem, tilt_J, problem.reference_SY) > 0.05


def test_with_weights_of_one_the_loss_is_least_at_the_reference(problem):
    """SFT-5turn on one's own trajectories, right and wrong, learns nothing when all turns are retained."""
    learned_SY = minimiser(exact_loss(problem, problem.returns(**PAPER), np.inf, "all", "sum"))
    assert divergence(problem, problem.reference_J, learned_SY) <= 1e-8


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_reinforcement_learning_and_weighted_likelihood_end_at_the_same_policy(problem, beta):
    """Both are optimised: E_pi[R] - beta KL(pi || pi_ref) raised from the reference, the loss lowered from even odds.

    Not at beta 0.1: there the policy gradient all but stops short of the optimum; the likelihood's does not.
    """
    return_J = problem.returns(**PAPER)
    every = problem.every
    log_reference_J, rewards_J = map(torch.from_numpy, (np.log(problem.reference_J), return_J))
    logits_SY = torch.from_numpy(np.log(problem.reference_SY)).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [logits_SY], max_iter=1000, tolerance_grad=1e-11, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        log_pi_T = torch.log_softmax(logits_SY, dim=1)[every.state_T, every.response_T]
        log_pi_J = torch.zeros_like(rewards_J).index_add(0, torch.from_numpy(every.example_T), log_pi_T)
        value = (log_pi_J.exp() * (beta * (log_pi_J - log_reference_J) - rewards_J)).sum()
        value.backward()
        return value

    optimiser.step(closure)
    reinforced_J = np.exp(problem.log_likelihood(torch.log_softmax(logits_SY.detach(), dim=1).numpy()))
    supervised_SY = minimiser(exact_loss(problem, return_J, beta, "all", "sum"))
    assert divergence(problem, reinforced_J, supervised_SY) <= 1e-8


@settings(max_examples=50, deadline=None)
@given(gamma=st.floats(0.05, 1), penalty=st.floats(0, 2), beta=st.floats(0.05, 20), seed=st.integers(0, 2**32 - 1))
def test_the_loss_is_the_entropy_of_the_tilt_plus_the_divergence_from_it(problem, gamma, penalty, beta, seed):
    """E_ref[w (-log pi)] = H(pi*) + KL(pi* || pi), for every policy: the forward KL, where J(pi) has the reverse."""
    return_J = problem.returns(gamma, penalty)
    tilt_J = problem.tilt(return_J, beta)
    logits_SY = torch.from_numpy(np.random.default_rng(seed).standard_normal(problem.reference_SY.shape))
    value = exact_loss(problem, return_J, beta, "all", "sum")(logits_SY).item()
    entropy = -tilt_J @ np.log(tilt_J)
    forward = divergence(problem, tilt_J, torch.softmax(logits_SY, dim=1).numpy())
    assert value == pytest.approx(entropy + forward, abs=1e-11)


@pytest.mark.parametrize("beta", BETAS)
def test_averaged_over_all_turns_the_loss_is_least_at_the_tilt_of_a_return_that_pays_for_length(problem, beta):
    """Dividing by |y| tilts by R - beta log |y|: the shorter of two equal trajectories is learned more."""
    return_J = problem.returns(**PAPER)
    learned_SY = minimiser(exact_loss(problem, return_J, beta, "all", "mean"))
    tilt_J = problem.tilt(return_J - beta * np.log(problem.num_turns_J), beta)
    assert divergence(problem, tilt_J, learned_SY) <= 1e-8
    assert divergence(problem, problem.tilt(return_J, beta), learned_SY) > 0.01


@pytest.fixture(scope="module")
def from_terminal_turns(problem) -> dict[float, np.ndarray]:
    """What terminal turns alone teach at each beta: conditionals, shape (S, Y)."""
    return_J = problem.returns(**PAPER)
    return {beta: minimiser(exact_loss(problem, return_J, beta, "terminal", "mean")) for beta in BETAS}


@pytest.mark.parametrize("beta", BETAS)
def test_terminal_turns_teach_the_tilt_given_that_the_episode_ends_here(problem, from_terminal_turns, beta):
    """At the last turn every response ends it: the tilt itself. Before, a correct one does: the tilt among those."""
    learned_SY = from_terminal_turns[beta]
    best_SY = problem.policy(problem.tilt(problem.returns(**PAPER), beta))
    ends_SY = problem.ends_SY
    given_end_SY = np.where(ends_SY, best_SY, 0) / (best_SY * ends_SY).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(learned_SY, given_end_SY, atol=1e-5)
    is_last_S = ends_SY.all(axis=1)
    np.testing.assert_allclose(learned_SY[is_last_S], best_SY[is_last_S], atol=1e-5)
    assert np.abs(learned_SY - best_SY)[~is_last_S].max() > 1e-3


@pytest.mark.parametrize("beta", BETAS)
def test_terminal_turns_do_not_teach_the_tilt_of_whole_trajectories(problem, from_terminal_turns, beta):
    """Free to fit every state, they leave only trajectories right at once: KL(pi || pi*) = -log pi*(right at once)."""
    learned_SY = from_terminal_turns[beta]
    learned_J = np.exp(problem.log_likelihood(np.log(learned_SY)))
    tilt_J = problem.tilt(problem.returns(**PAPER), beta)
    right_at_once = tilt_J[problem.num_turns_J == 1].sum()
    assert divergence(problem, learned_J, problem.policy(tilt_J)) == pytest.approx(-np.log(right_at_once), rel=1e-4)
    assert divergence(problem, tilt_J, learned_SY) > 1


def mean_gradient(problem, logits_SY: torch.Tensor, retained: tuple[str, str], weights) -> np.ndarray:
    """The gradient of a mini-batch of two trajectories, over all pairs the reference can draw; shape (S, Y)."""
    mean_SY = torch.zeros_like(logits_SY)
    for pair in product(range(len(problem.reference_J)), repeat=2):
        pair_N = np.array(pair)
        (gradient_SY,) = torch.autograd.grad(Loss(problem, pair_N, weights(pair_N), *retained)(logits_SY), logits_SY)
        mean_SY += problem.reference_J[pair_N].prod() * gradient_SY
    return mean_SY.numpy()


def exact_gradient(problem, pi_SY: np.ndarray, mass_J: np.ndarray, retained: tuple[str, str]) -> np.ndarray:
    """By hand: the logits of a state rise by how often it is met times pi(y | s), less how often y is given there."""
    retain, token_normalisation = retained
    if retain == "all" and token_normalisation == "mean":
        mass_J = mass_J / problem.num_turns_J
    given_SY = problem.responses(mass_J)
    if retain == "terminal":
        given_SY = np.where(problem.ends_SY, given_SY, 0)
    return given_SY.sum(axis=1, keepdims=True) * pi_SY - given_SY


RETAINED = [("terminal", "mean"), ("all", "sum"), ("all", "mean")]


@pytest.mark.parametrize("retained", RETAINED)
def test_mini_batches_have_on_average_the_gradient_of_the_exact_objective(problem, retained):
    tilt_J = problem.tilt(problem.returns(**PAPER), beta=0.3)
    density_J = tilt_J / problem.reference_J
    logits_SY = torch.from_numpy(np.random.default_rng(3).standard_normal(problem.reference_SY.shape)).requires_grad_()
    pi_SY = torch.softmax(logits_SY.detach(), dim=1).numpy()
    expected_SY = exact_gradient(problem, pi_SY, tilt_J, retained)
    average_SY = mean_gradient(problem, logits_SY, retained, lambda pair_N: density_J[pair_N])
    np.testing.assert_allclose(average_SY, expected_SY, atol=1e-13)


def test_weights_estimated_from_two_trajectories_bias_that_gradient(problem):
    """E[1 / mean] is not 1 / E[mean]: with estimated weights the gradient is right in the limit of many, not before."""
    return_J = problem.returns(**PAPER)
    logits_SY = torch.zeros(problem.reference_SY.shape, dtype=torch.float64, requires_grad=True)
    pi_SY = torch.softmax(logits_SY.detach(), dim=1).numpy()
    expected_SY = exact_gradient(problem, pi_SY, problem.tilt(return_J, beta=0.3), RETAINED[0])
    average_SY = mean_gradient(
        problem, logits_SY, RETAINED[0], lambda pair_N: importance_weights(return_J[pair_N], 0.3)
    )
    assert np.linalg.norm(average_SY - expected_SY) > 0.01 * np.linalg.norm(expected_SY)
