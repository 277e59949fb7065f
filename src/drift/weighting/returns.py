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

RETURN_INPUTS = ("problem_id", "trajectory_id", "success", "num_turns", "turns")


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
    frame = pl.DataFrame(trajectories.select(RETURN_INPUTS))
    answers = pl.col("turns").list.eval(pl.element().struct.field("answer").drop_nulls().unique())
    frame = frame.with_columns(distinct_answers=answers.list.len().cast(pl.Int32)).drop("turns")
    returns = shaped_return(
        frame["success"].to_numpy(),
        frame["num_turns"].to_numpy(),
        frame["distinct_answers"].to_numpy(),
        weighting.gamma,
        weighting.penalty,
    )
    return frame.with_columns(shaped_return=returns).to_arrow().cast(SHAPED_RETURN_SCHEMA)
