"""The paper's two metrics of one policy on one benchmark, from the turns at which its problems were solved.

These are the formulas by themselves: the scores' multi@k and correction rates are their results. For intervals and
differences `drift.evaluation.ratios` has them in the form that is resampled, as all other metrics, and is tested to
agree.

Shapes: _P problems, _K turns (index t-1 is turn t).
`solved_turn_P` is the turn 1…K at which each problem was solved, 0 for never.
"""

import numpy as np


def multi_at_k(solved_turn_P: np.ndarray, max_turns: int) -> np.ndarray:
    """Eq. 21: multi@k = (1/P) * sum_p [problem p is solved within k turns], for k = 1…K.

    Args:
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).
        max_turns: the budget K.

    Returns:
        Shares in [0, 1], shape (K,), never decreasing.

    Raises:
        ValueError: when there is no problem or a turn is outside 0…K.
    """
    solved_K = solved_per_turn(solved_turn_P, max_turns)
    return np.cumsum(solved_K) / np.size(solved_turn_P)


def correction_rate(solved_turn_P: np.ndarray, max_turns: int) -> np.ndarray:
    """Per turn: problems solved at this turn / problems not solved before it.

    Turn 1 has no mistake before it, so its entry is plain accuracy, multi@1. The rates factor the metric:
    1 - multi@k = prod_{t<=k} (1 - rate_t).

    Args:
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).
        max_turns: the budget K.

    Returns:
        Shares in [0, 1], shape (K,); NaN at turns before which every problem was solved.

    Raises:
        ValueError: when there is no problem or a turn is outside 0…K.
    """
    solved_K = solved_per_turn(solved_turn_P, max_turns)
    wrong_before_K = np.size(solved_turn_P) - np.cumsum(solved_K) + solved_K
    return share_or_nan(solved_K, wrong_before_K)


def solved_per_turn(solved_turn_P: np.ndarray, max_turns: int) -> np.ndarray:
    """Number of problems solved at each turn, shape (K,).

    Args:
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).
        max_turns: the budget K.

    Raises:
        ValueError: when there is no problem or a turn is outside 0…K.
    """
    solved_turn_P = np.asarray(solved_turn_P)
    if max_turns < 1:
        raise ValueError(f"max_turns is {max_turns}, but a budget is at least one turn.")
    if solved_turn_P.ndim != 1 or solved_turn_P.size == 0 or not np.issubdtype(solved_turn_P.dtype, np.integer):
        raise ValueError("solved_turn_P must be one whole number per problem, for at least one problem.")
    if solved_turn_P.min() < 0 or solved_turn_P.max() > max_turns:
        outside = solved_turn_P.min() if solved_turn_P.min() < 0 else solved_turn_P.max()
        raise ValueError(f"solved_turn_P holds turn {outside}, outside 0 (never) to {max_turns} (max_turns).")
    return np.bincount(solved_turn_P, minlength=max_turns + 1)[1:]


def share_or_nan(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, elementwise; NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
