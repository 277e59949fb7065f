"""Metrics over several seeds: their mean, and a 95 % interval over problems and seeds.

Two things make a mean over seeds uncertain: other problems could have been asked, and other seeds could have been
taken. What the problems do is seen by drawing them again: a question that several seeds (or benchmarks) ask is drawn
for all of them, and the mean over seeds is taken in each draw. What the seeds do is seen in the spread of their values
(Student's t). The two half-widths are added as independent errors are, by their squares.

That errs to the safe side: where every seed asks problems of its own, the spread of the seeds holds the problems' part
already. The wider of the two alone would not: seeds that are asked the same problems share their luck, and with ten
seeds such an interval holds the truth 88 % of the time where both parts are alike (tests/study/test_pooled.py).

One seed has an interval over problems only; it says nothing about other seeds.

Shapes: _P problems, _S seeds, _B bootstrap samples, _X statistics of one metric (one per turn, or 1).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from drift.evaluation.metrics import share_or_nan
from drift.evaluation.ratios import Ratio
from drift.evaluation.statistics import Resampling, difference_interval, interval, percentiles, sums
from drift.study.student_t import half_width

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Measurement:
    """One metric of one policy on one benchmark with one seed.

    Attributes:
        ratio: the metric before it is summed.
        resampling: the draws of the problems.
        sample_BX: the metric in each of them; NaN where it is not defined.
    """

    ratio: Ratio
    resampling: Resampling
    sample_BX: np.ndarray

    @property
    def value_X(self) -> np.ndarray:
        """The metric."""
        return self.ratio.value()

    @property
    def bounds(self) -> tuple[float, float]:
        """What the metric cannot be below or above."""
        return (0.0, 1.0) if self.ratio.is_share else (0.0, np.inf)

    def ends_X2(self) -> np.ndarray:
        """Its own interval over problems."""
        return interval(self.ratio, self.resampling)


@dataclass(frozen=True)
class Difference:
    """One policy minus another: one metric, the same problems, the same draws.

    Attributes:
        before: what is subtracted.
        after: from what.
    """

    before: Measurement
    after: Measurement

    @property
    def value_X(self) -> np.ndarray:
        """The difference."""
        return self.after.value_X - self.before.value_X

    @property
    def sample_BX(self) -> np.ndarray:
        """The difference in each draw."""
        return self.after.sample_BX - self.before.sample_BX

    @property
    def bounds(self) -> tuple[float, float]:
        """What the difference cannot be below or above."""
        return (-1.0, 1.0) if self.after.ratio.is_share else (-np.inf, np.inf)

    def ends_X2(self) -> np.ndarray:
        """Its own paired interval over problems."""
        return difference_interval(self.before.ratio, self.after.ratio, self.after.resampling)


Part = Measurement | Difference


@dataclass(frozen=True)
class Pooled:
    """A metric, or a difference, over seeds.

    Attributes:
        value_X: mean over seeds; NaN where it is not defined with one of them.
        ends_X2: 95 % interval over problems and seeds; over problems alone where there is one seed.
        value_SX: of each seed.
    """

    value_X: np.ndarray
    ends_X2: np.ndarray
    value_SX: np.ndarray


def pooled(parts_S: Sequence[Sequence[Part]]) -> Pooled:
    """The mean over seeds of the mean over benchmarks.

    Args:
        parts_S: of each seed, the metric on each of the same benchmarks: one, or several to be averaged.
    """
    parts = [part for parts in parts_S for part in parts]
    value_SX = np.array([np.mean([part.value_X for part in parts], axis=0) for parts in parts_S])
    value_X = value_SX.mean(axis=0)
    ends_X2 = with_seeds(value_X, problem_interval(parts), half_width(value_SX))
    ends_X2[np.isnan(value_X)] = np.nan
    return Pooled(value_X, np.clip(ends_X2, *parts[0].bounds), value_SX)


def problem_interval(parts: Sequence[Part]) -> np.ndarray:
    """Interval over problems of a mean over seeds and benchmarks, shape (X, 2).

    A single one has its own. Of several the draws give it; where all draws are the same (all at 0 or 100 %), the mean
    of their own ends: that wide the interval is even if all of them err to the same side.
    """
    if len(parts) == 1:
        return parts[0].ends_X2()
    ends_X2 = percentiles(np.mean([part.sample_BX for part in parts], axis=0))
    is_point_X = ends_X2[:, 0] == ends_X2[:, 1]
    if is_point_X.any():
        ends_X2[is_point_X] = np.mean([part.ends_X2()[is_point_X] for part in parts], axis=0)
    return ends_X2


def with_seeds(value_X: np.ndarray, ends_X2: np.ndarray, half_width_X: np.ndarray) -> np.ndarray:
    """An interval over problems, widened on each side by what seeds do: sqrt(side^2 + half_width^2)."""
    below_X = np.hypot(value_X - ends_X2[:, 0], half_width_X)
    above_X = np.hypot(ends_X2[:, 1] - value_X, half_width_X)
    return np.stack([value_X - below_X, value_X + above_X], axis=1)


def measurements(ratios: Mapping[Key, Ratio], resampling: Resampling) -> dict[Key, Measurement]:
    """All metrics of all policies on one benchmark with one seed; the draws are gone through once."""
    if not ratios:
        return {}
    columns = [side for ratio in ratios.values() for side in (ratio.numerator_PX, ratio.denominator_PX)]
    sum_BX = sums(resampling.drawn_BP, np.hstack(columns))
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]
    pairs = iter(np.split(sum_BX, ends, axis=1))
    return {
        key: Measurement(ratio, resampling, share_or_nan(next(pairs), next(pairs))) for key, ratio in ratios.items()
    }
