"""What a number was measured on: processor, memory, GPUs. Nothing heavy is imported to find out."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_GIB = 2**30
_GPU_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
_GPU_QUERY_SECONDS = 10.0


def machine() -> dict[str, Any]:
    """The machine this process runs on.

    Returns:
        `system`, `cpu` (its model), `cores` (those this process may use), `cores_of_machine`, `memory_gib`, and `gpus`
        (name and memory of each, none where there is no NVIDIA driver).
    """
    import psutil

    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        "cores_of_machine": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / _GIB, 1),
        "gpus": gpu_names(),
    }


def machine_sentence(facts: dict[str, Any]) -> str:
    """The machine in a few words: its GPUs where it has some, else its processor."""
    if facts["gpus"]:
        names = [gpu.split(",")[0] for gpu in facts["gpus"]]
        return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
    return f"{facts['cores']} cores of {facts['cpu']}, no GPU"


def cpu_model() -> str:
    """Name of the processor, as its maker writes it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def gpu_names() -> list[str]:
    """Name and memory of every NVIDIA GPU that the driver shows, in its order."""
    if shutil.which(_GPU_QUERY[0]) is None:
        return []
    try:
        answer = subprocess.run(_GPU_QUERY, capture_output=True, text=True, check=True, timeout=_GPU_QUERY_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return []  # a driver that is broken or hangs: what needs a GPU says so itself
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
