"""vLLM's settings for the machine that is found: on GPUs or a CPU, and what its CPU build needs to be told.

`rollout.engine` leaves most of it open (null); what is said there is taken as it is, or refused before anything starts.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from drift.errors import UserError
from drift.machine.threads import waiting_of_engine
from drift.parameters import EngineParameters

_CPU_SEQUENCES, _GPU_SEQUENCES = 128, 1024
# Blocks of 128 tokens, the default on a CPU, are never filled by short prompts, and only full ones are cached.
_CPU_BLOCK_TOKENS = 32
_GIB = 2**30
_LARGEST_CPU_CACHE_GIB = 8
_CPU_BATCHED_TOKENS = 4096
_FEW_CORES = 8


def set_environment() -> None:
    """Sets the environment variables vLLM reads when it is imported, where the user has not."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")


@contextmanager
def threads_of_processes(parameters: EngineParameters) -> Iterator[None]:
    """Tells vLLM's CPU processes that are started inside how many threads to compute with.

    Left alone it binds threads to cores, of which it leaves one to its scheduler: on a machine of many cores that is
    right, on one of two it is half of the machine. Unbound threads share all cores.
    """
    settings: dict[str, str | None] = {}
    if parameters.cpu_threads is not None or usable_cores() <= _FEW_CORES:
        settings["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        settings["OMP_NUM_THREADS"] = str(parameters.cpu_threads or usable_cores())
    if parameters.cpu_threads is None:  # what the user has set stays
        settings = {name: value for name, value in settings.items() if name not in os.environ}
    settings |= waiting_of_engine(os.environ)
    before = {name: os.environ.get(name) for name in settings}
    _set(settings)
    try:
        yield
    finally:
        _set(before)


def _set(settings: Mapping[str, str | None]) -> None:
    """Sets environment variables; None takes one away."""
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def engine_arguments(parameters: EngineParameters, max_context_tokens: int, seed_per_request: bool) -> dict[str, Any]:
    """vLLM's engine arguments on this machine.

    Args:
        parameters: `rollout.engine`.
        max_context_tokens: longest conversation, tokens.
        seed_per_request: whether requests bring seeds of their own.

    Raises:
        UserError: when settings contradict each other or the machine.
    """
    import torch
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        return _cpu_arguments(parameters, max_context_tokens, seed_per_request)
    return gpu_arguments(parameters, max_context_tokens, torch.cuda.device_count())


def gpu_arguments(parameters: EngineParameters, context: int, num_gpus: int) -> dict[str, Any]:
    """One copy of the model a group of `tensor_parallel_size` GPUs, on all of them unless it is said otherwise."""
    spread = parameters.tensor_parallel_size
    copies = parameters.data_parallel_size or max(1, num_gpus // spread)
    if spread * copies > num_gpus:
        raise UserError(
            f"rollout.engine asks for {copies} x {spread} GPUs (data_parallel_size x tensor_parallel_size), but this "
            f"machine has {num_gpus}: lower one of them."
        )
    arguments = {
        "max_model_len": context,
        "max_num_seqs": parameters.max_sequences or _GPU_SEQUENCES,
        "max_num_batched_tokens": parameters.max_batched_tokens,
        "tensor_parallel_size": spread,
        "data_parallel_size": copies,
        "gpu_memory_utilization": parameters.memory_share,
    }
    return arguments if parameters.compile is None else {**arguments, "enforce_eager": not parameters.compile}


def _cpu_arguments(parameters: EngineParameters, context: int, seed_per_request: bool) -> dict[str, Any]:
    """One copy of the model on all cores.

    A seeded request whose prompt is prefilled in pieces kills the CPU engine (it rewinds the generator with a CUDA
    function), so with seeds prompts are prefilled whole.
    """
    if parameters.tensor_parallel_size > 1 or (parameters.data_parallel_size or 1) > 1:
        raise UserError(
            "rollout.engine asks for several copies or pieces of the model, but this machine has no GPU: leave "
            "tensor_parallel_size and data_parallel_size out."
        )
    batched = parameters.max_batched_tokens or max(_CPU_BATCHED_TOKENS, context)
    if seed_per_request and batched < context:
        raise UserError(
            f"rollout.seed_per_request needs whole prompts in one pass on a CPU, but rollout.engine.max_batched_tokens "
            f"is {batched} and a conversation can come to {context} tokens: raise it, or leave it out."
        )
    return {
        "max_model_len": context,
        "max_num_seqs": parameters.max_sequences or _CPU_SEQUENCES,
        "max_num_batched_tokens": batched,
        "enable_chunked_prefill": not seed_per_request,
        "kv_cache_memory_bytes": (parameters.cpu_cache_gib or _cpu_cache_gib()) * _GIB,
        "block_size": _CPU_BLOCK_TOKENS,
        "enforce_eager": not parameters.compile,
    }


def _cpu_cache_gib() -> int:
    """A quarter of the free memory, whole GiB."""
    import psutil

    return max(1, min(_LARGEST_CPU_CACHE_GIB, psutil.virtual_memory().available // (4 * _GIB)))
