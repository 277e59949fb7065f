"""Retention: which turns of a trajectory become targets, and with which weight."""

from itertools import zip_longest
from typing import Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from drift.errors import UserError
from drift.parameters import WeightingParameters
from drift.shards import Shards
from drift.weighting.parts import part_of_rollout, refuse_returns_of_other_part
from drift.weighting.weights import importance_weights_by_problem

SPAN_TYPE = pa.struct([pa.field("start", pa.int32(), nullable=False), pa.field("end", pa.int32(), nullable=False)])

WEIGHTED_TURN_SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("trajectory_id", pa.int32(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("targets", pa.list_(SPAN_TYPE), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("shaped_return", pa.float64(), nullable=False),
        pa.field("num_turns", pa.int32(), nullable=False),
        pa.field("success", pa.bool_(), nullable=False),
    ]
)


# Of `turns` only the spans: the text of the responses is never read.
EXAMPLE_INPUTS = (
    "problem_id",
    "trajectory_id",
    "token_ids",
    "turns.list.element.start",
    "turns.list.element.end",
    "success",
    "num_turns",
)


def refuse_other_trajectories(trajectories: Shards, shaped_returns: Shards, weighting: WeightingParameters) -> None:
    """Refuses returns that were computed from other trajectories than those to be weighed.

    Args:
        trajectories: a whole rollout.
        shaped_returns: of the part of it that is used.
        weighting: which part is used.

    Raises:
        UserError: when they are of another part, or do not hold the same trajectories in the same order, shard by
            shard.
    """
    refuse_returns_of_other_part(shaped_returns.provenance, weighting)
    keys = ["problem_id", "trajectory_id"]
    used = (part_of_rollout(table, weighting) for table in trajectories.tables(keys))
    pairs = zip_longest(used, shaped_returns.tables(keys))
    if any(ours is None or theirs is None or not ours.equals(theirs) for ours, theirs in pairs):
        raise UserError(
            "`shaped_returns` was not computed from this version of `trajectories`: run the whole weighting pipeline, "
            "or name versions that belong together with --load-versions."
        )


def refuse_parts_of_problems(trajectories: Shards) -> None:
    """Refuses a problem of which a shard lacks trajectories: its weights would average one over a part of it.

    A problem that is in two shards lacks trajectory 0 in one of them, so no shard need know another.

    Raises:
        UserError: when the trajectories of a problem in a shard are not 0 … N-1.
    """
    for file, keys in zip(trajectories.files(), trajectories.tables(["problem_id", "trajectory_id"]), strict=True):
        problems = (
            pl.DataFrame(keys)
            .group_by("problem_id")
            .agg(size=pl.len(), last=pl.col("trajectory_id").max(), different=pl.col("trajectory_id").n_unique())
        )
        whole = (pl.col("last") + 1 == pl.col("size")) & (pl.col("different") == pl.col("size"))
        parts = problems.filter(~whole)["problem_id"]
        if parts.len():
            raise UserError(
                f"{file} holds only a part of the trajectories of problem {parts.min()!r}: all trajectories of a "
                "problem, numbered from 0, belong in one shard; run the rollout pipeline again."
            )


def weigh_trajectories(trajectories: pa.Table, shaped_returns: pa.Table, weighting: WeightingParameters) -> pa.Table:
    """The `weighted_turns` rows of one shard of whole problems: one training example a trajectory that is kept.

    Token ids pass through as they are: nothing looks at them, and they are most of the data.

    Args:
        trajectories: at least the columns `EXAMPLE_INPUTS`, only those that are used (`part_of_rollout`).
        shaped_returns: `SHAPED_RETURN_SCHEMA`, the same trajectories in the same order.
        weighting: beta, what becomes of unsolved problems, which turns are retained, and which examples are kept.
    """
    frame = pl.DataFrame(shaped_returns)
    weights = frame.select(importance_weights_by_problem(weighting.beta)).to_series()
    kept = ["problem_id", "trajectory_id", "success", "num_turns", "token_ids"]
    table = (
        trajectories.select(kept)
        .append_column("targets", targets(pl.Series(trajectories["turns"]), weighting.retain).to_arrow())
        .append_column("shaped_return", shaped_returns["shaped_return"])
        .append_column("weight", weights.to_arrow())
    )
    if weighting.unsolved == "drop":
        table = table.filter(frame.select(pl.col("success").any().over("problem_id")).to_series().to_arrow())
    if weighting.solved_at is not None:
        table = table.filter(pc.field("success") & pc.field("num_turns").isin(weighting.solved_at))
    return table.select(WEIGHTED_TURN_SCHEMA.names).cast(WEIGHTED_TURN_SCHEMA)


def targets(turns: pl.Series, retain: Literal["terminal", "all"]) -> pl.Series:
    """The spans the loss covers: of the terminal turn, or of all turns."""
    retained = turns.list.tail(1) if retain == "terminal" else turns
    turn = pl.element().struct
    return retained.list.eval(pl.struct(turn.field("start"), turn.field("end")))
