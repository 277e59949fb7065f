"""Retention: which turns of a trajectory become targets, and with which weight."""

import polars as pl
import pyarrow as pa

from drift.errors import UserError
from drift.parameters import WeightingParameters
from drift.shards import Shards
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


def refuse_other_trajectories(trajectories: Shards, shaped_returns: Shards) -> None:
    """Refuses returns that were computed from other trajectories than those to be weighed.

    Raises:
        UserError: when they do not hold the same trajectories in the same order.
    """
    keys = ["problem_id", "trajectory_id"]
    if not trajectories.read(keys).equals(shaped_returns.read(keys)):
        raise UserError(
            "`shaped_returns` was not computed from this version of `trajectories`: run the whole weighting pipeline, "
            "or name versions that belong together with --load-versions."
        )


def weigh_trajectories(trajectories: pa.Table, shaped_returns: pa.Table, weighting: WeightingParameters) -> pa.Table:
    """The `weighted_turns` rows of one shard of whole problems: one training example a trajectory.

    Args:
        trajectories: `TRAJECTORY_SCHEMA`.
        shaped_returns: `SHAPED_RETURN_SCHEMA`, the same trajectories in the same order.
        weighting: beta, what becomes of unsolved problems, and which turns are retained.
    """
    spans = pl.col("turns").list.eval(pl.struct(pl.element().struct.field("start"), pl.element().struct.field("end")))
    frame = pl.DataFrame(trajectories).with_columns(
        targets=spans if weighting.retain == "all" else spans.list.tail(1),
        shaped_return=pl.Series(shaped_returns["shaped_return"].to_numpy()),
    )
    frame = frame.with_columns(weight=importance_weights_by_problem(weighting.beta))
    if weighting.unsolved == "drop":
        frame = frame.filter(pl.col("success").any().over("problem_id"))
    return frame.select(WEIGHTED_TURN_SCHEMA.names).to_arrow().cast(WEIGHTED_TURN_SCHEMA)
