"""The metrics of one policy on one benchmark, as numbers over its problems.

Shapes: _P problems, _K turns (index t-1 is turn t), _M turns of all trajectories.
`solved_turn_P` is the turn 1…K at which each problem was solved, 0 for never.
"""

from typing import get_args

import numpy as np

from drift.protocol.trajectory import Verdict


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


def overall_correction_rate(solved_turn_P: np.ndarray, max_turns: int) -> float:
    """Problems solved after turn 1 / problems wrong at turn 1; NaN when none was wrong.

    Args:
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).
        max_turns: the budget K.

    Raises:
        ValueError: when there is no problem or a turn is outside 0…K.
    """
    solved_K = solved_per_turn(solved_turn_P, max_turns)
    return float(share_or_nan(solved_K[1:].sum(), np.size(solved_turn_P) - solved_K[0]))


def mean_distinct_answers(distinct_answers_P: np.ndarray, solved_turn_P: np.ndarray) -> tuple[float, float]:
    """Mean number of distinct answers per trajectory: over all of them, and over those that failed.

    Args:
        distinct_answers_P: distinct answers of each problem's trajectory, >= 0, shape (P,).
        solved_turn_P: turn at which each problem was solved, 0 for never, shape (P,).

    Returns:
        (mean over all, mean over failed); the second is NaN when none failed.

    Raises:
        ValueError: when there is no problem, the shapes differ, or a count is negative.
    """
    distinct_answers_P, solved_turn_P = np.asarray(distinct_answers_P), np.asarray(solved_turn_P)
    if distinct_answers_P.ndim != 1 or distinct_answers_P.size == 0 or distinct_answers_P.shape != solved_turn_P.shape:
        raise ValueError(
            "distinct_answers_P and solved_turn_P must hold one number per problem, for the same problems."
        )
    if distinct_answers_P.min() < 0:
        raise ValueError(f"distinct_answers_P holds {distinct_answers_P.min()}, but a count is never negative.")
    failed_P = solved_turn_P == 0
    return float(distinct_answers_P.mean()), float(distinct_answers_P[failed_P].mean()) if failed_P.any() else np.nan


def verdict_counts(verdict_M: np.ndarray) -> dict[str, int]:
    """How many turns got each verdict.

    Args:
        verdict_M: the verdict of every turn of every trajectory, shape (M,).

    Returns:
        A count for each of the four verdicts, in their order; zero where none was given.

    Raises:
        ValueError: when a verdict is not one of the four.
    """
    names, counts = np.unique(np.asarray(verdict_M, dtype=str), return_counts=True)
    count_by_name = dict(zip(names.tolist(), counts.tolist(), strict=True))
    if unknown := set(count_by_name) - set(get_args(Verdict)):
        raise ValueError(f"Unknown verdict {sorted(unknown)[0]!r}; a verdict is one of {', '.join(get_args(Verdict))}.")
    return {verdict: count_by_name.get(verdict, 0) for verdict in get_args(Verdict)}


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
