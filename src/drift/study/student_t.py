"""Student's t: how far the mean of a few seeds may lie from the truth."""

import math

import numpy as np

from drift.evaluation.counted import LEVEL

_HALVINGS = 60  # of a right angle: to a double's precision


def half_width(value_SX: np.ndarray) -> np.ndarray:
    """Half of the 95 % interval of a mean over seeds: t(S - 1) * s / sqrt(S).

    Args:
        value_SX: the values of each seed, shape (S, X).

    Returns:
        Shape (X,); 0 with one seed, which says nothing about others.
    """
    num_seeds = len(value_SX)
    if num_seeds < 2:
        return np.zeros(np.shape(value_SX)[1:])
    return quantile(num_seeds - 1) * np.std(value_SX, axis=0, ddof=1) / math.sqrt(num_seeds)


def quantile(degrees: int) -> float:
    """The t with P(|T| <= t) = 95 %, by halving the angle theta of t = sqrt(degrees) * tan(theta).

    Args:
        degrees: of freedom, at least 1.

    Raises:
        ValueError: when there is none.
    """
    if degrees < 1:
        raise ValueError(f"Student's t needs at least one degree of freedom, not {degrees}.")
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if probability_within(middle, degrees) < LEVEL else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def probability_within(angle: float, degrees: int) -> float:
    """P(|T| <= sqrt(degrees) * tan(angle)), a finite sum (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2 == 1
    term, total = (cosine, 0.0) if is_odd else (1.0, 0.0)
    for index in range(degrees // 2):
        total += term
        factor = (2 * index + 2) / (2 * index + 3) if is_odd else (2 * index + 1) / (2 * index + 2)
        term *= factor * cosine**2
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
