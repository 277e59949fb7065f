"""What the weighted data is made of: how many problems were solved, and how many examples really count.

Both tables are read shard by shard; what is kept of a shard is one row of counts and sums.
"""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from drift.shards import Shards


def effective_sample_size(weights: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2: the number of equally weighted examples that would estimate as well (Kish)."""
    return effective_sample_size_of_sums(float(weights.sum()), float(np.square(weights).sum()))


def effective_sample_size_of_sums(weight_sum: float, squared_weight_sum: float) -> float:
    """(sum w)^2 / sum w^2, from sums that were gathered shard by shard; 0 where all weights are 0."""
    return weight_sum**2 / squared_weight_sum if squared_weight_sum else 0.0


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
    outcomes = pl.concat(outcome_counts(shard) for shard in shaped_returns.tables(["problem_id", "success"])).sum()
    sums = pl.concat(weight_sums(shard, prune_below) for shard in weighted_turns.tables(["weight"])).sum()
    weight_sum = sums["weight_sum"].item()
    return Composition(
        **outcomes.row(0, named=True),
        num_examples=sums["num_examples"].item(),
        num_pruned=sums["num_pruned"].item(),
        pruned_mass=sums["pruned_sum"].item() / weight_sum if weight_sum else 0.0,
        effective_sample_size=effective_sample_size_of_sums(weight_sum, sums["squared_weight_sum"].item()),
    )


def outcome_counts(shaped_returns: pa.Table) -> pl.DataFrame:
    """One row: how many problems of a shard all, some or none of their trajectories solved."""
    problems = pl.DataFrame(shaped_returns).group_by("problem_id")
    outcomes = problems.agg(right=pl.col("success").all(), wrong=~pl.col("success").any())
    return outcomes.select(
        num_problems=pl.len().cast(pl.Int64),
        all_right=pl.col("right").sum().cast(pl.Int64),
        mixed=(~pl.col("right") & ~pl.col("wrong")).sum().cast(pl.Int64),
        all_wrong=pl.col("wrong").sum().cast(pl.Int64),
    )


def weight_sums(weighted_turns: pa.Table, prune_below: float) -> pl.DataFrame:
    """One row: how many examples a shard has, how many of them are pruned, and the sums of their weights."""
    weight = pl.col("weight")
    pruned = weight < prune_below
    return pl.DataFrame(weighted_turns).select(
        num_examples=pl.len().cast(pl.Int64),
        num_pruned=pruned.sum().cast(pl.Int64),
        weight_sum=weight.sum(),
        squared_weight_sum=weight.pow(2).sum(),
        pruned_sum=weight.filter(pruned).sum(),
    )
