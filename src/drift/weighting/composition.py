"""What the weighted data is made of: how many problems were solved, and how many examples really count."""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from drift.shards import Shards


def effective_sample_size(weights: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2: the number of equally weighted examples that would estimate as well (Kish)."""
    return float(weights.sum() ** 2 / np.square(weights).sum()) if weights.any() else 0.0


@dataclass(frozen=True)
class Composition:
    """Counts over one data set.

    Attributes:
        num_problems: problems sampled.
        all_right: problems that every trajectory solved.
        mixed: problems that some trajectories solved.
        all_wrong: problems that none solved.
        num_examples: training examples that remain.
        num_pruned: examples whose weight is below `prune_below`.
        pruned_mass: share of the total weight they hold.
        effective_sample_size: of the examples' weights.
    """

    num_problems: int
    all_right: int
    mixed: int
    all_wrong: int
    num_examples: int
    num_pruned: int
    pruned_mass: float
    effective_sample_size: float

    def to_dict(self) -> dict[str, float]:
        """As JSON."""
        return asdict(self)


def composition(shaped_returns: Shards, weighted_turns: Shards, prune_below: float) -> Composition:
    """Counts problems by outcome and examples by weight."""
    outcomes = pl.DataFrame(shaped_returns.read(["problem_id", "success"]))
    shares = outcomes.group_by("problem_id").agg(pl.col("success").mean())["success"]
    weights = weighted_turns.read(["weight"])["weight"].to_numpy()
    pruned = weights[weights < prune_below]
    return Composition(
        num_problems=shares.len(),
        all_right=int((shares == 1).sum()),
        mixed=int(((shares > 0) & (shares < 1)).sum()),
        all_wrong=int((shares == 0).sum()),
        num_examples=weights.size,
        num_pruned=pruned.size,
        pruned_mass=float(pruned.sum() / weights.sum()) if weights.size else 0.0,
        effective_sample_size=effective_sample_size(weights),
    )
