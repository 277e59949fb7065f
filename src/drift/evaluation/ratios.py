"""The metrics as ratios of sums over problems: the one form in which they are computed, resampled and compared.

    metric = sum_p numerator_p / sum_p denominator_p

A mean over problems has denominators of 1. A share of something that one problem may have many of (retries, responses)
adds up before it divides, so that every retry counts the same, while resampling still draws whole problems.

A metric is one function here and one row of `METRICS`.

Shapes: _P problems, _K turns, _X statistics (K of them, or 1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drift.evaluation.metrics import share_or_nan
from drift.evaluation.outcomes import Outcomes


@dataclass(frozen=True)
class Ratio:
    """One metric before it is summed over problems.

    Attributes:
        numerator_PX: what is counted of each problem.
        denominator_PX: out of how many.
        is_share: whether the metric lies between 0 and 1 because no numerator exceeds its denominator.
    """

    numerator_PX: np.ndarray
    denominator_PX: np.ndarray
    is_share: bool = True

    def value(self) -> np.ndarray:
        """The metric, shape (X,); NaN where nothing is in the denominator."""
        return share_or_nan(self.numerator_PX.sum(axis=0), self.denominator_PX.sum(axis=0))


def solved_within(outcomes: Outcomes) -> Ratio:
    """Eq. 21, multi@k: problems solved within k turns / problems, for k = 1…K."""
    solved_turn_P1, turn_K = outcomes.solved_turn_P[:, None], np.arange(1, outcomes.max_turns + 1)
    return mean_over_problems((solved_turn_P1 > 0) & (solved_turn_P1 <= turn_K))


def solved_at(outcomes: Outcomes) -> Ratio:
    """Correction rate of each turn: problems solved at it / problems not solved before it."""
    solved_turn_P1, turn_K = outcomes.solved_turn_P[:, None], np.arange(1, outcomes.max_turns + 1)
    return Ratio(solved_turn_P1 == turn_K, (solved_turn_P1 == 0) | (solved_turn_P1 >= turn_K))


def corrected(outcomes: Outcomes) -> Ratio:
    """Correction rate over all turns: problems solved after turn 1 / problems wrong at turn 1."""
    return Ratio(column(outcomes.solved_turn_P > 1), column(outcomes.solved_turn_P != 1))


def distinct_answers(outcomes: Outcomes) -> Ratio:
    """Distinct answers / trajectories."""
    return mean_over_problems(column(outcomes.distinct_answers_P), is_share=False)


def distinct_answers_failed(outcomes: Outcomes) -> Ratio:
    """Distinct answers of failed trajectories / failed trajectories."""
    failed_P1 = column(outcomes.solved_turn_P == 0)
    return Ratio(column(outcomes.distinct_answers_P) * failed_P1, failed_P1, is_share=False)


def repeated_answers(outcomes: Outcomes) -> Ratio:
    """Retries whose answer was given before in the trajectory / retries; a retry without an answer repeats none."""
    return Ratio(column(outcomes.num_repeated_P), column(outcomes.num_turns_P - 1))


def lost_formats(outcomes: Outcomes) -> Ratio:
    """Turns without a readable answer right after one that had it / turns right after one that had it."""
    return Ratio(column(outcomes.num_lost_P), column(outcomes.num_continued_P))


def response_tokens(outcomes: Outcomes) -> Ratio:
    """Tokens of all responses / problems."""
    return mean_over_problems(column(outcomes.response_tokens_P), is_share=False)


def response_tokens_per_solved(outcomes: Outcomes) -> Ratio:
    """Tokens of all responses, those to unsolved problems included / solved problems."""
    return Ratio(column(outcomes.response_tokens_P), column(outcomes.solved_turn_P > 0), is_share=False)


def cut_responses(outcomes: Outcomes) -> Ratio:
    """Responses cut at the token limit / responses."""
    return Ratio(column(outcomes.num_cut_P), column(outcomes.num_turns_P))


METRICS: dict[str, Callable[[Outcomes], Ratio]] = {
    "multi_at_k": solved_within,
    "correction_rate": solved_at,
    "correction_rate_overall": corrected,
    "distinct_answers": distinct_answers,
    "distinct_answers_failed": distinct_answers_failed,
    "repeated_answer_rate": repeated_answers,
    "format_loss_rate": lost_formats,
    "response_tokens": response_tokens,
    "response_tokens_per_solved": response_tokens_per_solved,
    "cut_share": cut_responses,
}
"""Every metric that has an interval, by its name in the `multi_at_k` JSON."""

BY_TURN = {"multi_at_k", "correction_rate"}
"""The metrics that are one number per turn; the others are one number."""


def mean_over_problems(value_PX: np.ndarray, is_share: bool = True) -> Ratio:
    """A plain mean: every problem counts once."""
    return Ratio(value_PX, np.ones(np.shape(value_PX), dtype=np.int64), is_share)


def column(value_P: np.ndarray) -> np.ndarray:
    """One statistic: shape (P, 1)."""
    return np.asarray(value_P)[:, None]
