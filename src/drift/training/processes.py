"""The processes of one training: alone, or some of many that torch's elastic launcher has started."""

import os
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those of the training.

    Attributes:
        rank: 0 … size - 1; 0 writes and speaks.
        size: number of processes.
        device: of this process.
    """

    rank: int
    size: int
    device: torch.device

    @classmethod
    def alone(cls, device: torch.device | None = None) -> "Processes":
        """One process, on the GPU where there is one."""
        return cls(0, 1, device or torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    @classmethod
    def join(cls) -> "Processes":
        """Joins the processes a launcher has started, each on a GPU of its own, or on the CPU."""
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        else:
            device = torch.device("cpu")
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size(), device)

    def sum(self, values: list[float]) -> list[float]:
        """Sums numbers over the processes, in float64; every process gets the same sums."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(total)
        return total.tolist()

    def gather(self, value: T) -> list[T]:
        """What each process has, in every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()
