"""What a run writes, in bytes."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drift.planning.model_shape import ModelShape

STATES_AT_ONCE = 3
"""The two that are kept and the one being written."""
STATE_BYTES_PER_WEIGHT = 12
"""A weight and its two moments, float32."""
BYTES_PER_TOKEN = 4
"""Of a trajectory, its text included (as in `drift.rollout.sample`); the weighted turns take as much again."""


def number_bytes(dtype: str) -> int:
    """Of one number in a format; `auto` is bfloat16 on the GPUs that plans are made for."""
    return 4 if dtype == "float32" else 2


@dataclass(frozen=True)
class Disk:
    """Bytes by what they are for.

    Attributes:
        states: of an unfinished training, removed at its end.
        checkpoint: the trained model.
        trajectories: and the turns that are trained on.
        conversations: of the evaluation.
    """

    states: int
    checkpoint: int
    trajectories: int
    conversations: int

    @property
    def total(self) -> int:
        """At the same time, at most."""
        return self.states + self.checkpoint + self.trajectories + self.conversations


def disk(shape: ModelShape, dtype: str, sampled_tokens: float, evaluated_tokens: float) -> Disk:
    """What a run writes at most, the reference policy not counted.

    Args:
        shape: of the policy; of adapters the checkpoint has a few numbers beside links to the reference.
        dtype: of the checkpoint.
        sampled_tokens: of all trajectories, contexts once.
        evaluated_tokens: of all held-out conversations.
    """
    return Disk(
        states=STATES_AT_ONCE * STATE_BYTES_PER_WEIGHT * shape.num_trained,
        checkpoint=shape.num_trained * number_bytes(dtype),
        trajectories=int(2 * BYTES_PER_TOKEN * sampled_tokens),
        conversations=int(2 * BYTES_PER_TOKEN * evaluated_tokens),
    )


def small_disk(directory: Path, what: str, needed_gib: float) -> Iterator[str]:
    """A sentence where the disk that a directory is on, or will be, has less free than something may write.

    Args:
        directory: where it writes; need not exist.
        what: writes, as the sentence says it.
        needed_gib: at most.
    """
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    free_gib = shutil.disk_usage(place).free / 2**30
    if free_gib < needed_gib:
        yield (
            f"the disk of {directory} has {free_gib:,.0f} GiB free, and {what} may write {needed_gib:,.0f}: make room, "
            "or set working_directory to another disk."
        )
