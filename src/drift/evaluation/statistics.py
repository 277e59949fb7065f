"""How sure the metrics are: 95 % intervals over problems, paired differences, and p-values.

Every metric is a ratio of sums over problems (`drift.evaluation.ratios`). Where each problem counts once, right or
wrong, the counts give the interval (`drift.evaluation.counted`): exact for a share, a score interval for the paired
difference of two. For everything else problems are drawn with replacement, the sums are taken again, and the middle
95 % of the ratios are kept (percentile bootstrap), a problem with all it holds being drawn as one. The same draws serve
all policies, which pairs their differences by problem.

p-values are exact where they can be (McNemar's test) and by permutation for means: if two policies are the same, then
swapping their results on any problem changes nothing. Rates that are measured on different problems for each policy
(corrections, of what was wrong) take theirs from the bootstrap, which agrees with their intervals.

Shapes: _P problems, _B bootstrap samples, _X statistics of one metric (one per turn, or 1).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from drift.evaluation.counted import LEVEL, clopper_pearson, tango
from drift.evaluation.metrics import share_or_nan
from drift.evaluation.ratios import Ratio

NUM_SAMPLES = 2000
PERCENTILES = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
_NUMBERS_AT_ONCE = 1 << 22  # of a block of draws that is turned into floats: 32 MiB
_ROUNDING = 1e-9  # two differences that are the same but for the order of their sums


@dataclass(frozen=True)
class Resampling:
    """The draws behind all intervals and p-values of one benchmark.

    Attributes:
        drawn_BP: how often each problem is drawn in each bootstrap sample; a row sums to P, or about P where other
            benchmarks share the draws.
        swapped_BP: whether two policies exchange their results on a problem, in each permutation.
    """

    drawn_BP: np.ndarray
    swapped_BP: np.ndarray

    @classmethod
    def of(cls, num_problems: int, num_samples: int = NUM_SAMPLES, seed: int = 0, name: str = "") -> "Resampling":
        """Draws.

        Args:
            num_problems: P, at least 1.
            num_samples: B, at least 1.
            seed: of the run.
            name: of the benchmark; benchmarks of different names are drawn independently.

        Raises:
            ValueError: when there is no problem or no sample.
        """
        if num_problems < 1:
            raise ValueError("An interval over problems needs at least one problem.")
        if num_samples < 1:
            raise ValueError(f"num_samples is {num_samples}, but an interval needs at least one bootstrap sample.")
        generator = np.random.default_rng([seed, *name.encode()])
        drawn_BP = np.empty((num_samples, num_problems), dtype=np.uint16)
        for drawn_P in drawn_BP:
            drawn_P[:] = np.bincount(generator.integers(num_problems, size=num_problems), minlength=num_problems)
        return cls(drawn_BP, generator.integers(0, 2, size=(num_samples, num_problems), dtype=np.uint8))

    def of_problems(self, index_P: np.ndarray) -> "Resampling":
        """The draws of some of the problems."""
        return Resampling(self.drawn_BP[:, index_P], self.swapped_BP[:, index_P])


def sums(weight_BP: np.ndarray, value_PX: np.ndarray) -> np.ndarray:
    """Weighted sums over problems of each sample, shape (B, X)."""
    value_PX = np.asarray(value_PX, dtype=np.float64)
    return np.concatenate([block_BP @ value_PX for block_BP in _blocks(weight_BP)])


def _blocks(weight_BP: np.ndarray) -> Iterator[np.ndarray]:
    """The weights as floats, some rows at a time."""
    rows = max(1, _NUMBERS_AT_ONCE // weight_BP.shape[1])
    for first in range(0, len(weight_BP), rows):
        yield weight_BP[first : first + rows].astype(np.float64)


def samples(ratio: Ratio, resampling: Resampling) -> np.ndarray:
    """The metric on each bootstrap sample, shape (B, X); NaN where it is not defined."""
    drawn_BP = resampling.drawn_BP
    return share_or_nan(sums(drawn_BP, ratio.numerator_PX), sums(drawn_BP, ratio.denominator_PX))


def interval(ratio: Ratio, resampling: Resampling) -> np.ndarray:
    """95 % interval of a metric: exact where each problem counts once, right or wrong, by bootstrap elsewhere.

    The far end of a bootstrapped share is never nearer than if none, or all, of what problems hold had counted: that is
    an exact interval of as many problems.

    Returns:
        Lower and upper ends, shape (X, 2); NaN where the metric is not defined.
    """
    is_counted_X, num_X = is_counted(ratio), (ratio.denominator_PX > 0).sum(axis=0)
    ends_X2 = np.full((len(num_X), 2), np.nan) if is_counted_X.all() else percentiles(samples(ratio, resampling))
    for index in np.flatnonzero(num_X) if ratio.is_share else ():
        if is_counted_X[index]:
            ends_X2[index] = clopper_pearson(int(ratio.numerator_PX[:, index].sum()), int(num_X[index]))
        else:
            all_end, none_end = clopper_pearson(num_X[index], num_X[index])[0], clopper_pearson(0, num_X[index])[1]
            ends_X2[index] = min(ends_X2[index, 0], all_end), max(ends_X2[index, 1], none_end)
    return ends_X2


def difference_interval(before: Ratio, after: Ratio, resampling: Resampling) -> np.ndarray:
    """95 % interval of `after` minus `before`, paired by problem.

    A score interval where every problem counts once for both, right or wrong; by bootstrap elsewhere. Where the two
    agree (or disagree in the same way) on every problem that counts, resampling would give a point, and the share of
    problems on which they could still differ is bounded by an exact interval.

    Returns:
        Lower and upper ends, shape (X, 2); NaN where either metric is not defined.
    """
    difference_X, num_problems = after.value() - before.value(), len(before.numerator_PX)
    is_paired_X = is_counted(before) & is_counted(after)
    is_paired_X &= (before.denominator_PX == 1).all(axis=0) & (after.denominator_PX == 1).all(axis=0)
    if is_paired_X.all():
        ends_X2 = np.full((len(difference_X), 2), np.nan)
    else:
        ends_X2 = percentiles(samples(after, resampling) - samples(before, resampling))
    ends_X2[np.isnan(difference_X)] = np.nan
    for index in np.flatnonzero(is_paired_X):
        before_P, after_P = before.numerator_PX[:, index], after.numerator_PX[:, index]
        ends_X2[index] = tango(int((after_P > before_P).sum()), int((before_P > after_P).sum()), num_problems)
    if before.is_share and after.is_share:
        for index, (low, high) in enumerate(ends_X2):
            if low == high:
                counting_P = (before.denominator_PX[:, index] > 0) | (after.denominator_PX[:, index] > 0)
                ends_X2[index] = agreement_interval(low, int(counting_P.sum()))
    return ends_X2


def is_counted(ratio: Ratio) -> np.ndarray:
    """Where every problem counts at most once, wholly right or wholly wrong, shape (X,)."""
    numerator_PX, denominator_PX = ratio.numerator_PX, ratio.denominator_PX
    is_whole_PX = ((numerator_PX == 0) | (numerator_PX == 1)) & (denominator_PX <= 1)
    return is_whole_PX.all(axis=0) & ratio.is_share


def percentiles(sample_BX: np.ndarray) -> np.ndarray:
    """The 2.5th and 97.5th percentile of what is not NaN, shape (X, 2); NaN where all is."""
    defined_X = [sample_B[~np.isnan(sample_B)] for sample_B in sample_BX.T]
    return np.array([np.percentile(d, PERCENTILES) if d.size else np.full(2, np.nan) for d in defined_X])


def agreement_interval(difference: float, num_problems: int) -> np.ndarray:
    """Bounds of a paired difference that was the same in every resample, shape (2,): of what no problem showed."""
    highest_unseen = clopper_pearson(0, num_problems)[1]
    return np.clip([difference - highest_unseen, difference + highest_unseen], -1, 1)


def mcnemar_p_value(before_P: np.ndarray, after_P: np.ndarray) -> float:
    """McNemar's exact test: two-sided p = 2 * sum_{i <= min(b, c)} C(b + c, i) / 2^(b + c), at most 1.

    b and c count the problems that only one of the two policies solved; if the policies are the same, each of those is
    as likely to be one's as the other's.

    Args:
        before_P: whether each problem was solved by one policy, shape (P,).
        after_P: the same of the other, for the same problems in the same order, shape (P,).
    """
    gained, lost = int((after_P & ~before_P).sum()), int((before_P & ~after_P).sum())
    num_discordant, term, total = gained + lost, 1, 0
    for index in range(min(gained, lost) + 1):
        total += term
        term = term * (num_discordant - index) // (index + 1)
    return min(1.0, float(Fraction(2 * total, 2**num_discordant)))


def permuted_differences(before: Ratio, after: Ratio, resampling: Resampling) -> np.ndarray:
    """`after` minus `before` when their results are exchanged on random problems, shape (B, X); NaN where undefined."""
    swapped_BP = resampling.swapped_BP

    def exchanged(one_PX: np.ndarray, other_PX: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one_PX, other_PX = np.asarray(one_PX, dtype=np.float64), np.asarray(other_PX, dtype=np.float64)
        moved_BX = sums(swapped_BP, other_PX - one_PX)
        return one_PX.sum(axis=0) + moved_BX, other_PX.sum(axis=0) - moved_BX

    before_numerator_BX, after_numerator_BX = exchanged(before.numerator_PX, after.numerator_PX)
    before_denominator_BX, after_denominator_BX = exchanged(before.denominator_PX, after.denominator_PX)
    before_BX = share_or_nan(before_numerator_BX, before_denominator_BX)
    return share_or_nan(after_numerator_BX, after_denominator_BX) - before_BX


def permutation_p_value(difference_X: np.ndarray, permuted_BX: np.ndarray) -> np.ndarray:
    """Two-sided p: (1 + permutations whose difference is at least as large) / (1 + B), shape (X,).

    A permutation in which the difference is not defined counts as at least as large; NaN where it is not defined in the
    data. The observed order is one of the permutations, so p is never 0.
    """
    is_smaller_BX = np.abs(permuted_BX) < np.abs(difference_X) - _ROUNDING * np.maximum(1, np.abs(difference_X))
    p_X = (1 + (~is_smaller_BX).sum(axis=0)) / (1 + len(permuted_BX))
    return np.where(np.isnan(difference_X), np.nan, p_X)


def bootstrap_p_value(sample_B: np.ndarray) -> float:
    """Two-sided p that a quantity is 0: twice the smaller share of its samples on one side of 0, at most 1."""
    defined = sample_B[~np.isnan(sample_B)]
    if not defined.size:
        return math.nan
    fewer = min((defined <= 0).sum(), (defined >= 0).sum())
    return min(1.0, float(2 * (1 + fewer) / (1 + defined.size)))
