"""The importance weights of one problem's trajectories (Eq. 13)."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


def importance_weights(returns_N: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Eq. 13: w_i = exp(R_i / beta) / mean_j exp(R_j / beta), over the N trajectories of one problem.

    The largest return is subtracted first, so nothing overflows; the weights average 1.

    Args:
        returns_N: shaped returns, shape (N,), finite.
        beta: temperature of the tilt, > 0; `inf` gives weights of 1 (SFT-5turn).

    Raises:
        ValueError: when a return is not finite.
    """
    if not np.isfinite(returns_N).all():
        raise ValueError("importance_weights needs finite returns.")
    tilted_N = np.exp((returns_N - returns_N.max()) / beta)
    return tilted_N / tilted_N.mean()


def importance_weights_by_problem(beta: float) -> pl.Expr:
    """Eq. 13 over the rows of each problem of a frame with `problem_id` and `shaped_return`; agrees with the above."""
    shaped_return = pl.col("shaped_return")
    tilted = ((shaped_return - shaped_return.max().over("problem_id")) / beta).exp()
    return tilted / tilted.mean().over("problem_id")
