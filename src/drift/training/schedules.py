"""Learning-rate schedules: factors on the learning rate at step 1 … steps."""

import math
from typing import Literal

ScheduleName = Literal["constant", "cosine", "linear"]


def warmup(step: int, steps: int, warmup_share: float) -> float:
    """Linear up to 1 over the first `warmup_share` of the steps, then 1."""
    return min(1.0, step / max(1, round(steps * warmup_share)))


def constant(progress: float) -> float:
    """1: the paper's."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress: float) -> float:
    """A straight line from 1 down to 0."""
    return 1 - progress


_DECAYS = {"constant": constant, "cosine": cosine, "linear": linear}


def learning_rate_factor(schedule: ScheduleName, step: int, steps: int, warmup_share: float) -> float:
    """Warm-up, then the schedule over the steps that are left; the first one after warm-up has the full rate.

    Args:
        schedule: its name.
        step: 1 … steps.
        steps: of the whole training.
        warmup_share: share of the steps the warm-up takes.
    """
    num_warmup = max(1, round(steps * warmup_share))
    progress = max(0, step - num_warmup) / max(1, steps - num_warmup + 1)
    return warmup(step, steps, warmup_share) * _DECAYS[schedule](progress)
