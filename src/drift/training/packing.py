"""Packing: the examples of a step as rows without padding, shared out over processes.

How a batch is cut changes speed and memory, never the gradient of the whole batch.

Shapes: _E examples of a pack, _L its tokens, _T its target tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drift.training.examples import Example

if TYPE_CHECKING:
    import torch

_TOKENS_ON_CPU, _TOKENS_ON_GPU = 2048, 16384
# A token of a sequence of this length costs as much in attention as in the rest of a small model.
_ATTENTION_EQUALS_THE_REST = 4096


@dataclass(frozen=True)
class Pack:
    """Sequences one after another in one row; each attends only to itself.

    Attributes:
        token_ids_L: all sequences, shape (L,).
        position_L: position of each token in its own sequence, shape (L,).
        lengths_E: tokens of each sequence.
        target_T: where in the row the targets are, shape (T,).
        example_T: which sequence each target belongs to, shape (T,).
        weight_E: w_i, float64, shape (E,).
        num_targets_E: |y_i|, shape (E,).
    """

    token_ids_L: "torch.Tensor"
    position_L: "torch.Tensor"
    lengths_E: tuple[int, ...]
    target_T: "torch.Tensor"
    example_T: "torch.Tensor"
    weight_E: "torch.Tensor"
    num_targets_E: "torch.Tensor"


def packed(examples: Sequence[Example], device: "torch.device") -> Pack:
    """The examples as one row on a device.

    Without examples the row is a single token that teaches nothing: a process that has less to do than the others
    computes it to keep step with them.
    """
    import torch

    lengths_E = [len(example.token_ids) for example in examples] or [1]
    start_E = np.concatenate([[0], np.cumsum(lengths_E)[:-1]])
    num_targets_E = [len(example.targets) for example in examples] or [0]

    def tensor(parts: list[NDArray[np.int64]]) -> "torch.Tensor":
        return torch.from_numpy(np.concatenate([*parts, np.empty(0, np.int64)])).to(device, non_blocking=True)

    return Pack(
        token_ids_L=tensor([example.token_ids for example in examples] or [np.zeros(1, np.int64)]),
        position_L=tensor([np.arange(length) for length in lengths_E]),
        lengths_E=tuple(lengths_E),
        target_T=tensor([start + example.targets for start, example in zip(start_E, examples, strict=False)]),
        example_T=tensor([np.repeat(np.arange(len(num_targets_E)), num_targets_E)]),
        weight_E=torch.tensor([example.weight for example in examples] or [0.0], dtype=torch.float64).to(device),
        num_targets_E=torch.tensor(num_targets_E).to(device),
    )


def most_tokens(asked: int | None, device: "torch.device") -> int:
    """Size of a pack: what was asked for, or enough to keep the device busy."""
    return asked or (_TOKENS_ON_GPU if device.type == "cuda" else _TOKENS_ON_CPU)


def packs(examples: Sequence[Example], max_tokens: int) -> list[list[Example]]:
    """Cuts a batch into packs of at most `max_tokens`, the longest first, each where it first fits.

    A single example longer than `max_tokens` is a pack of its own.
    """
    packs: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda example: len(example.token_ids), reverse=True):
        length = len(example.token_ids)
        fitting = next((index for index, free in enumerate(room) if length <= free), None)
        if fitting is None:
            packs.append([example])
            room.append(max_tokens - length)
        else:
            packs[fitting].append(example)
            room[fitting] -= length
    return packs


def packs_by_process(examples: Sequence[Example], max_tokens: int, num_processes: int) -> list[list[list[Example]]]:
    """Shares a batch out so that all processes have about the same work and the same number of packs.

    Returns:
        The packs of each process; where one has fewer than the others, empty ones follow.
    """
    of_process: list[list[Example]] = [[] for _ in range(num_processes)]
    load = [0.0] * num_processes
    for example in sorted(examples, key=cost, reverse=True):
        least = load.index(min(load))
        of_process[least].append(example)
        load[least] += cost(example)
    shares = [packs(share, max_tokens) for share in of_process]
    most = max(len(share) for share in shares)
    return [share + [[]] * (most - len(share)) for share in shares]


def cost(example: Example) -> float:
    """What an example takes to compute, in tokens of a short sequence: attention grows with the square."""
    length = len(example.token_ids)
    return length * (1 + length / _ATTENTION_EQUALS_THE_REST)
