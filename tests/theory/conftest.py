"""A correction protocol small enough to enumerate: five responses, three turns, 53 trajectories, expectations exact.

Shapes: S states, Y responses, J trajectories there are, N of them drawn, T turns of those.

The reference's probabilities are tenths, so each trajectory's is a whole number of thousandths: `population_N` holds
every trajectory that often. The project's formulas, applied to it as to any N trajectories, give exact expectations.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from drift.weighting.returns import shaped_return

MAX_TURNS = 3
# The answer in each response, and whether it is correct: one can be right in two ways, and wrong in three.
ANSWERS = ("4", "4", "3", "5", None)
CORRECT = (True, True, False, False, False)
WRONG = tuple(response for response, correct in enumerate(CORRECT) if not correct)

# A state is what was rejected so far.
STATES = [history for turn in range(MAX_TURNS) for history in product(WRONG, repeat=turn)]
TRAJECTORIES = [
    (*state, response)
    for state in STATES
    for response, correct in enumerate(CORRECT)
    if correct or len(state) + 1 == MAX_TURNS
]


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of some trajectories, one after another.

    Attributes:
        state_T: the state each was asked in.
        response_T: the response given.
        example_T: which of the trajectories it belongs to.
        terminal_T: whether it is that trajectory's last.
    """

    state_T: NDArray[np.int64]
    response_T: NDArray[np.int64]
    example_T: NDArray[np.int64]
    terminal_T: NDArray[np.bool_]


class TabularProblem:
    """Every trajectory of the protocol, and what policies (a table: state by response) make of them."""

    def __init__(self, reference_SY: NDArray[np.float64]) -> None:
        num_trajectories = len(TRAJECTORIES)
        self.reference_SY = reference_SY
        self.num_turns_J = np.array([len(trajectory) for trajectory in TRAJECTORIES])
        self.success_J = np.array([CORRECT[trajectory[-1]] for trajectory in TRAJECTORIES])
        answers = [{ANSWERS[response] for response in trajectory} - {None} for trajectory in TRAJECTORIES]
        self.distinct_J = np.array([len(different) for different in answers])
        self.every = self.turns(np.arange(num_trajectories))
        self.reference_J = np.exp(self.log_likelihood(np.log(reference_SY)))
        self.population_N = np.repeat(np.arange(num_trajectories), np.rint(1000 * self.reference_J).astype(int))
        self.ends_SY = np.array([[correct or len(state) + 1 == MAX_TURNS for correct in CORRECT] for state in STATES])

    def turns(self, trajectory_N: NDArray[np.int64]) -> Turns:
        """The turns of the trajectories with these numbers, in this order."""
        rows = [
            (STATES.index(TRAJECTORIES[j][:turn]), response, example, turn + 1 == len(TRAJECTORIES[j]))
            for example, j in enumerate(trajectory_N)
            for turn, response in enumerate(TRAJECTORIES[j])
        ]
        state_T, response_T, example_T, terminal_T = map(np.array, zip(*rows, strict=True))
        return Turns(state_T, response_T, example_T, terminal_T)

    def returns(self, gamma: float, penalty: float) -> NDArray[np.float64]:
        """Eq. 12 of every trajectory, shape (J,)."""
        return shaped_return(self.success_J, self.num_turns_J, self.distinct_J, gamma, penalty)

    def log_likelihood(self, log_pi_SY: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log pi(tau): the sum over the turns of every trajectory, shape (J,)."""
        log_pi_T = log_pi_SY[self.every.state_T, self.every.response_T]
        return np.bincount(self.every.example_T, weights=log_pi_T)

    def responses(self, mass_J: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of a mass on trajectories takes each response in each state, shape (S, Y)."""
        mass_SY = np.zeros_like(self.reference_SY)
        np.add.at(mass_SY, (self.every.state_T, self.every.response_T), mass_J[self.every.example_T])
        return mass_SY

    def policy(self, mass_J: NDArray[np.float64]) -> NDArray[np.float64]:
        """The conditionals of a distribution over trajectories: pi(y | s), shape (S, Y)."""
        mass_SY = self.responses(mass_J)
        return mass_SY / mass_SY.sum(axis=1, keepdims=True)

    def tilt(self, return_J: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
        """pi*(tau) = pi_ref(tau) exp(R(tau) / beta) / Z, in logarithms, shape (J,)."""
        log_mass_J = np.log(self.reference_J) + return_J / beta
        return np.exp(log_mass_J - self.log_partition(return_J, beta))

    def log_partition(self, return_J: NDArray[np.float64], beta: float) -> float:
        """Log Z = log E_ref[exp(R / beta)]."""
        return float(np.logaddexp.reduce(np.log(self.reference_J) + return_J / beta))


@pytest.fixture(scope="session")
def problem() -> TabularProblem:
    """The protocol under a reference policy that depends on everything said before and can give every response."""
    tenths_SY = 1 + np.random.default_rng(0).multinomial(5, np.full(len(CORRECT), 1 / len(CORRECT)), size=len(STATES))
    return TabularProblem(tenths_SY / 10)
