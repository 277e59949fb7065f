"""How sure the metrics are: 95 % percentile bootstrap intervals over problems, and what guessing would reach.

Drawing P problems with replacement is drawing the counts of the C distinct outcomes among them from a multinomial,
so a resample costs C numbers instead of P, and a paired difference only needs the two policies' outcomes in one row.
Where every problem has the same outcome, all resamples are equal and the interval is a point.

Shapes: _P problems, _K turns, _B bootstrap samples, _C distinct outcomes, _X statistics (K of them, or 1).
"""

from collections.abc import Callable

import numpy as np

from drift.evaluation.metrics import share_or_nan

NUM_SAMPLES = 2000
PERCENTILES = (2.5, 97.5)

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of the outcomes, shape (C, F), and how often each was drawn, shape (B, C): one row of statistics a sample, (B, X)."""


def multi_at_k_interval(
    solved_turn_P: np.ndarray, max_turns: int, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> np.ndarray:
    """95 % interval of multi@k (Eq. 21) for k = 1…K.

    Args:
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).
        max_turns: the budget K.
        num_samples: number of bootstrap samples B.
        seed: seed of the resampling.

    Returns:
        Lower and upper ends, shape (K, 2).

    Raises:
        ValueError: when there is no problem or `num_samples` is below 1.
    """

    def statistic(outcome_CF: np.ndarray, drawn_BC: np.ndarray) -> np.ndarray:
        return multi_at_k_of_samples(outcome_CF[:, 0], drawn_BC, max_turns)

    return bootstrap_interval(statistic, np.column_stack([solved_turn_P]), num_samples, seed)


def multi_at_k_difference_interval(
    reference_turn_P: np.ndarray,
    trained_turn_P: np.ndarray,
    max_turns: int,
    num_samples: int = NUM_SAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """95 % interval of multi@k of the trained policy minus that of the reference, paired by problem.

    Args:
        reference_turn_P: turn at which the reference solved each problem, 0 for never, shape (P,).
        trained_turn_P: the same of the trained policy, for the same problems in the same order, shape (P,).
        max_turns: the budget K.
        num_samples: number of bootstrap samples B.
        seed: seed of the resampling.

    Returns:
        Lower and upper ends, shape (K, 2).

    Raises:
        ValueError: when the shapes differ, there is no problem or `num_samples` is below 1.
    """

    def statistic(outcome_CF: np.ndarray, drawn_BC: np.ndarray) -> np.ndarray:
        reference_BK = multi_at_k_of_samples(outcome_CF[:, 0], drawn_BC, max_turns)
        return multi_at_k_of_samples(outcome_CF[:, 1], drawn_BC, max_turns) - reference_BK

    return bootstrap_interval(statistic, np.column_stack([reference_turn_P, trained_turn_P]), num_samples, seed)


def correction_rate_interval(
    solved_turn_P: np.ndarray, max_turns: int, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> np.ndarray:
    """95 % interval of the correction rate of each turn, over the samples in which it is defined.

    Args:
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).
        max_turns: the budget K.
        num_samples: number of bootstrap samples B.
        seed: seed of the resampling.

    Returns:
        Lower and upper ends, shape (K, 2); NaN at turns before which every problem was solved.

    Raises:
        ValueError: when there is no problem or `num_samples` is below 1.
    """

    def statistic(outcome_CF: np.ndarray, drawn_BC: np.ndarray) -> np.ndarray:
        turn_K = np.arange(1, max_turns + 1)
        solved_BK = drawn_BC @ (outcome_CF == turn_K)
        wrong_before_BK = drawn_BC @ ((outcome_CF == 0) | (outcome_CF >= turn_K))
        return share_or_nan(solved_BK, wrong_before_BK)

    return bootstrap_interval(statistic, np.column_stack([solved_turn_P]), num_samples, seed)


def overall_correction_rate_interval(
    solved_turn_P: np.ndarray, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> np.ndarray:
    """95 % interval of (solved after turn 1) / (wrong at turn 1), over the samples in which it is defined.

    Args:
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).
        num_samples: number of bootstrap samples B.
        seed: seed of the resampling.

    Returns:
        Lower and upper end, shape (2,); NaN when no problem was wrong at turn 1.

    Raises:
        ValueError: when there is no problem or `num_samples` is below 1.
    """

    def statistic(outcome_CF: np.ndarray, drawn_BC: np.ndarray) -> np.ndarray:
        return overall_correction_rate_of_samples(outcome_CF[:, 0], drawn_BC)

    return bootstrap_interval(statistic, np.column_stack([solved_turn_P]), num_samples, seed)[0]


def overall_correction_rate_difference_interval(
    reference_turn_P: np.ndarray, trained_turn_P: np.ndarray, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> np.ndarray:
    """95 % interval of the trained policy's overall correction rate minus the reference's, paired by problem.

    Args:
        reference_turn_P: turn at which the reference solved each problem, 0 for never, shape (P,).
        trained_turn_P: the same of the trained policy, for the same problems in the same order, shape (P,).
        num_samples: number of bootstrap samples B.
        seed: seed of the resampling.

    Returns:
        Lower and upper end, shape (2,); NaN when either policy was never wrong at turn 1.

    Raises:
        ValueError: when the shapes differ, there is no problem or `num_samples` is below 1.
    """

    def statistic(outcome_CF: np.ndarray, drawn_BC: np.ndarray) -> np.ndarray:
        reference_B1 = overall_correction_rate_of_samples(outcome_CF[:, 0], drawn_BC)
        return overall_correction_rate_of_samples(outcome_CF[:, 1], drawn_BC) - reference_B1

    return bootstrap_interval(statistic, np.column_stack([reference_turn_P, trained_turn_P]), num_samples, seed)[0]


def mean_interval(value_P: np.ndarray, num_samples: int = NUM_SAMPLES, seed: int = 0) -> np.ndarray:
    """95 % interval of a mean over problems; of a paired difference when the values are differences.

    Args:
        value_P: one number per problem, shape (P,).
        num_samples: number of bootstrap samples B.
        seed: seed of the resampling.

    Returns:
        Lower and upper end, shape (2,).

    Raises:
        ValueError: when there is no problem or `num_samples` is below 1.
    """

    def statistic(outcome_CF: np.ndarray, drawn_BC: np.ndarray) -> np.ndarray:
        return drawn_BC @ outcome_CF / np.size(value_P)

    return bootstrap_interval(statistic, np.column_stack([value_P]), num_samples, seed)[0]


def bootstrap_interval(statistic: Statistic, outcome_PF: np.ndarray, num_samples: int, seed: int) -> np.ndarray:
    """95 % percentile bootstrap interval over problems of any statistic of their outcomes.

    Args:
        statistic: see `Statistic`; a NaN means that it is not defined for that sample.
        outcome_PF: what happened to each problem, F numbers a problem, shape (P, F).
        num_samples: number of bootstrap samples B.
        seed: seed of the resampling.

    Returns:
        Lower and upper ends, shape (X, 2), over the samples in which the statistic is defined; NaN where it never is.

    Raises:
        ValueError: when there is no problem or `num_samples` is below 1.
    """
    if len(outcome_PF) == 0:
        raise ValueError("An interval over problems needs at least one problem.")
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}, but an interval needs at least one bootstrap sample.")
    outcome_CF, count_C = np.unique(outcome_PF, axis=0, return_counts=True)
    drawn_BC = np.random.default_rng(seed).multinomial(len(outcome_PF), count_C / len(outcome_PF), size=num_samples)
    sample_XB = statistic(outcome_CF, drawn_BC).T
    return np.array([percentiles_of_defined(sample_B) for sample_B in sample_XB])


def percentiles_of_defined(sample_B: np.ndarray) -> np.ndarray:
    """The 2.5th and 97.5th percentile of what is not NaN, shape (2,); NaN when all is."""
    defined = sample_B[~np.isnan(sample_B)]
    return np.percentile(defined, PERCENTILES) if defined.size else np.full(2, np.nan)


def multi_at_k_of_samples(solved_turn_C: np.ndarray, drawn_BC: np.ndarray, max_turns: int) -> np.ndarray:
    """Eq. 21 on each bootstrap sample: shape (B, K)."""
    turn_K = np.arange(1, max_turns + 1)
    solved_within_CK = (solved_turn_C[:, None] > 0) & (solved_turn_C[:, None] <= turn_K)
    return drawn_BC @ solved_within_CK / drawn_BC.sum(axis=1, keepdims=True)


def overall_correction_rate_of_samples(solved_turn_C: np.ndarray, drawn_BC: np.ndarray) -> np.ndarray:
    """(Solved after turn 1) / (wrong at turn 1) on each bootstrap sample: shape (B, 1), NaN where none was wrong."""
    corrected_B1 = drawn_BC @ (solved_turn_C > 1)[:, None]
    return share_or_nan(corrected_B1, drawn_BC @ (solved_turn_C != 1)[:, None])


def chance_with_repetition(num_choices_P: np.ndarray, max_turns: int) -> np.ndarray:
    """multi@k of a guesser that may repeat itself: mean_p 1 - (1 - 1/c_p)^k.

    Args:
        num_choices_P: options c of each problem, 0 for a problem without options, which no guess solves, shape (P,).
        max_turns: the budget K.

    Returns:
        Shares in [0, 1], shape (K,).

    Raises:
        ValueError: when there is no problem or a number of options is negative.
    """
    choices_P1, turn_K = choices_or_infinity(num_choices_P)[:, None], np.arange(1, max_turns + 1)
    return (1 - (1 - 1 / choices_P1) ** turn_K).mean(axis=0)


def chance_without_repetition(num_choices_P: np.ndarray, max_turns: int) -> np.ndarray:
    """multi@k of a guesser that never repeats itself: mean_p min(k / c_p, 1).

    Args:
        num_choices_P: options c of each problem, 0 for a problem without options, which no guess solves, shape (P,).
        max_turns: the budget K.

    Returns:
        Shares in [0, 1], shape (K,).

    Raises:
        ValueError: when there is no problem or a number of options is negative.
    """
    choices_P1, turn_K = choices_or_infinity(num_choices_P)[:, None], np.arange(1, max_turns + 1)
    return np.minimum(turn_K / choices_P1, 1).mean(axis=0)


def choices_or_infinity(num_choices_P: np.ndarray) -> np.ndarray:
    """Number of answers a guesser chooses from: infinitely many for a problem without options."""
    num_choices_P = np.asarray(num_choices_P)
    if num_choices_P.ndim != 1 or num_choices_P.size == 0 or num_choices_P.min() < 0:
        raise ValueError("num_choices_P must be one number of options, at least 0, per problem.")
    return np.where(num_choices_P > 0, num_choices_P, np.inf)
