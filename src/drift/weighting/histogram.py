"""A histogram of values that are never in memory all at once.

Shapes: _X bins, _V the values of one shard.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Histogram:
    """Counts in equal bins over the range of the values.

    Attributes:
        count_X: number of values in each bin, shape (X,).
        edge_X: where the bins begin and end, shape (X + 1,).
    """

    count_X: NDArray[np.int64]
    edge_X: NDArray[np.float64]


def histogram(shards: Callable[[], Iterable[NDArray[np.float64]]], num_bins: int) -> Histogram:
    """The histogram of all values, in two passes: one finds their range, one counts.

    Args:
        shards: starts a pass; gives the values of one shard after another.
        num_bins: X.
    """
    ranges = [(value_V.min(), value_V.max()) for value_V in shards() if value_V.size]
    if not ranges:
        return Histogram(np.zeros(0, dtype=np.int64), np.zeros(1))
    lows, highs = zip(*ranges, strict=True)
    whole = (float(min(lows)), float(max(highs)))
    count_X = np.sum([np.histogram(value_V, num_bins, whole)[0] for value_V in shards()], axis=0)
    return Histogram(count_X, np.histogram_bin_edges([], num_bins, whole))
