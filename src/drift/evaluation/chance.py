"""What guessing would reach: multi@k of somebody who picks options of multiple-choice problems at random.

Shapes: _P problems, _K turns.
"""

import numpy as np


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
