"""The GPUs a plan can be made for, and the one this machine has."""

import re
from dataclasses import dataclass

from drift.errors import UserError


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: of the table, or as its driver calls it.
        memory_bytes: that programs see.
        bytes_per_second: bandwidth of its memory, as the maker states it.
        flops_per_second: dense bfloat16, as the maker states it.
    """

    name: str
    memory_bytes: int
    bytes_per_second: float
    flops_per_second: float


@dataclass(frozen=True)
class _Row:
    """What is known of a kind of GPU: what its driver's name matches, memory in GiB, bandwidth in bytes/s."""

    pattern: str
    memory_gib: float
    bytes_per_second: float


GPUS = {
    "A100-40GB": _Row(r"A100.*40GB", 39.4, 1.555e12),
    "A100-80GB": _Row(r"A100.*80GB", 79.2, 2.039e12),
    "H100-80GB": _Row(r"H100.*80GB|H100 PCIe", 79.1, 3.35e12),
    "H200": _Row(r"\bH200\b", 139.8, 4.8e12),
    "L40S": _Row(r"\bL40S\b", 44.4, 0.864e12),
    "RTX 4090": _Row(r"RTX 4090", 23.6, 1.008e12),
}
"""By the names that `plan.gpu` takes. Operations per second are those of `drift.training.flops`."""
ASSUMED = "H100-80GB"
"""What is planned for where there is no GPU and none is named."""


def gpu_named(name: str) -> Gpu:
    """A GPU of the table."""
    row = GPUS[name]
    return Gpu(name, int(row.memory_gib * 2**30), row.bytes_per_second, _peak(name))


def gpus_of_this_machine() -> tuple[Gpu, int] | None:
    """The first GPU that torch sees, and how many there are; None without any.

    Raises:
        UserError: when nothing is known of this GPU.
    """
    import torch

    if not torch.cuda.is_available():
        return None
    device = torch.cuda.get_device_properties(0)
    return gpu_of(device.name, device.total_memory), torch.cuda.device_count()


def gpu_of(driver_name: str, memory_bytes: int) -> Gpu:
    """A GPU by the name its driver gives it.

    Raises:
        UserError: when it is not in the table.
    """
    for row in GPUS.values():
        if re.search(row.pattern, driver_name):
            return Gpu(driver_name, memory_bytes, row.bytes_per_second, _peak(driver_name))
    raise UserError(
        f"plan.gpu: nothing is known of this machine's GPU, {driver_name}: name the one most like it "
        f"({', '.join(GPUS)})."
    )


def _peak(name: str) -> float:
    from drift.training.flops import peak_of

    peak = peak_of(name)
    assert peak is not None, name
    return peak
