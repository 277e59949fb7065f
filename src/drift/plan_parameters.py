"""`plan`: what a dry run reckons with. Nothing of it changes a run."""

from typing import Literal

from pydantic import Field

from drift.planning.gpus import GPUS
from drift.training_parameters import Parameters


class PlanParameters(Parameters):
    """`plan`: the machine and the habits that `kedro run --pipelines=plan` assumes."""

    gpu: Literal[tuple(GPUS)] | None = None  # pyrefly: ignore
    """Kind of GPU to plan for, a name of the table in `src/drift/planning/gpus.py`; null takes this machine's, and an
    H100 where it has none."""
    gpus: int | None = Field(default=None, ge=1)
    """Number of GPUs; null takes this machine's, 1 where it has none or `gpu` names another."""
    sampling_tokens_per_second: float | None = Field(default=None, gt=0)
    """Tokens one GPU samples in a second; null estimates it from the bandwidth of its memory."""
    mfu: float = Field(default=0.35, gt=0, le=1)
    """Share of a GPU's peak that training and prefill reach (recomputation not counted as work)."""
    response_tokens: int = Field(default=300, ge=1)
    """Mean length of a response, tokens; never above the limit."""
    solved_at_first: float = Field(default=0.45, ge=0, le=1)
    """Share of conversations solved at the first turn."""
    solved_later: float = Field(default=0.15, ge=0, le=1)
    """Share of those still wrong that each later turn solves."""
