"""The return of a trajectory (Eq. 12)."""

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from drift.parameters import WeightingParameters

SHAPED_RETURN_SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("trajectory_id", pa.int32(), nullable=False),
        pa.field("success", pa.bool_(), nullable=False),
        pa.field("num_turns", pa.int32(), nullable=False),
        pa.field("distinct_answers", pa.int32(), nullable=False),
        pa.field("shaped_return", pa.float64(), nullable=False),
    ]
)

RETURN_INPUTS = ("problem_id", "trajectory_id", "success", "num_turns", "turns.list.element.answer")


def shaped_return(
    success: ArrayLike, num_turns: ArrayLike, distinct_answers: ArrayLike, gamma: float, penalty: float
) -> NDArray[np.float64]:
    """Eq. 12: R = gamma^(T-1) * success - penalty * (1 - U / T), elementwise.

    Args:
        success: 1 where the terminal turn was correct, else 0.
        num_turns: T, the turn at which the episode ended, >= 1.
        distinct_answers: U, the number of different normalised answers among the T turns, 0 … T.
        gamma: discount per turn, in (0, 1].
        penalty: price of repeating answers, >= 0.
    """
    turns = np.asarray(num_turns, dtype=np.float64)
    repeated_share = 1.0 - np.asarray(distinct_answers, dtype=np.float64) / turns
    return gamma ** (turns - 1.0) * np.asarray(success, dtype=np.float64) - penalty * repeated_share


def shape_returns(trajectories: pa.Table, weighting: WeightingParameters) -> pa.Table:
    """The `shaped_returns` rows of one shard of trajectories, in its order.

    Args:
        trajectories: at least the columns `RETURN_INPUTS`.
        weighting: gamma and penalty.
    """
    kept = trajectories.select(["problem_id", "trajectory_id", "success", "num_turns"])
    distinct = distinct_answers(pl.Series(trajectories["turns"]))
    returns = shaped_return(
        kept["success"].to_numpy(), kept["num_turns"].to_numpy(), distinct, weighting.gamma, weighting.penalty
    )
    return pa.Table.from_arrays([*kept.columns, pa.array(distinct), pa.array(returns)], schema=SHAPED_RETURN_SCHEMA)


def distinct_answers(turns: pl.Series) -> NDArray[np.int32]:
    """U of every trajectory: the number of different answers among its turns; turns without an answer add none."""
    answers = pl.element().struct.field("answer")
    return turns.list.agg(answers.drop_nulls().n_unique()).cast(pl.Int32).to_numpy()
