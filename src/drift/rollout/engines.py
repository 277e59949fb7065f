"""Which engine samples: vLLM where it works, plain transformers elsewhere."""

import importlib
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from drift.errors import UserError
from drift.machine.number_formats import CHOSEN
from drift.parameters import EngineParameters
from drift.rollout.engine import Engine
from drift.rollout.engine_choice import EngineKind, computed_tokens, number_of_weights, sooner
from drift.rollout.plan import Rollout
from drift.rollout.transformers_engine import start_transformers
from drift.rollout.vllm_engine import start_vllm
from drift.rollout.vllm_settings import set_environment

logger = logging.getLogger(__name__)


def start_engine(
    kind: EngineKind, rollout: Rollout, parameters: EngineParameters, room: int, seed: int
) -> AbstractAsyncContextManager[Engine]:
    """The engine for a rollout, as a context that starts and stops it.

    Args:
        kind: which one.
        rollout: what is sampled.
        parameters: `rollout.engine`.
        room: tokens it makes room for in one conversation.
        seed: of the engine's own noise.

    Raises:
        UserError: when the engine is not there or has no room.
    """
    settings: Mapping[str, Any] = {
        "dtype": rollout.model.dtype,
        "max_context_tokens": room,
        "seed": seed,
        "trust_remote_code": rollout.model.trust_remote_code,
        "adapter": rollout.policy.adapter,
    }
    if kind == "transformers":
        return start_transformers(rollout.policy.path, parameters, **settings)
    return start_vllm(rollout.policy.path, parameters, **settings, seed_per_request=rollout.seed_per_request)


def context_room(parameters: EngineParameters, longest_tokens: int) -> int:
    """Tokens the engine makes room for in one conversation.

    Raises:
        UserError: when `rollout.engine.max_context_tokens` is less than a conversation can come to.
    """
    room = parameters.max_context_tokens or longest_tokens
    if room < longest_tokens:
        raise UserError(
            f"rollout.engine.max_context_tokens is {room}, but a conversation can come to {longest_tokens} tokens: "
            "raise it, or leave it out."
        )
    return room


def choose_engine(parameters: EngineParameters, rollout: Rollout | None = None) -> EngineKind:
    """The engine that `rollout.engine.kind` names or, for `auto`, the one that ends the job sooner.

    On a GPU that is always vLLM. On a CPU it depends on the work, the model and the machine (`engine_choice`).

    Args:
        parameters: `rollout.engine`.
        rollout: what will be sampled; without it vLLM is taken where it works.

    Raises:
        UserError: when vLLM is asked for and does not work here.
    """
    if parameters.kind == "transformers":
        refuse_several_copies(parameters)
        logger.info("Engine: plain transformers, because rollout.engine.kind says so.")
        return "transformers"
    if parameters.kind == "auto" and rollout is not None and (seconds := transformers_saves(parameters, rollout)):
        logger.info("Engine: plain transformers, because it ends this job about %.0f s before vLLM would.", seconds)
        return "transformers"
    fault = vllm_fault()
    if fault is None:
        reason = "rollout.engine.kind says so" if parameters.kind == "vllm" else "it works here"
        logger.info("Engine: vLLM %s, because %s.", version_of_vllm(), reason)
        return "vllm"
    if parameters.kind == "vllm":
        raise UserError(
            f"The sampling engine vLLM cannot be used here ({fault}): install it with `make venv`, or "
            "`pip install -e '.[gpu]'` on a machine with an NVIDIA GPU, or set rollout.engine.kind to auto."
        )
    refuse_several_copies(parameters)
    logger.info("Engine: plain transformers, because vLLM cannot be used here (%s); it is slower.", fault)
    return "transformers"


def transformers_saves(parameters: EngineParameters, rollout: Rollout) -> float | None:
    """Seconds by which plain transformers would end the job before vLLM; None where it would not, or cannot be told.

    Nothing of vLLM is imported to find out. Settings that only vLLM has speak for vLLM.
    """
    choice = CHOSEN.get("sampling")
    only_vllm = {"max_batched_tokens", "tensor_parallel_size", "data_parallel_size", "cpu_cache_gib", "compile"}
    if choice is None or choice.format not in choice.gflops or only_vllm & parameters.model_fields_set:
        return None
    kind, seconds = sooner(
        computed_tokens(rollout),
        number_of_weights(rollout.policy.path),
        choice.gflops[choice.format],
        choice.format,
    )
    return seconds if kind == "transformers" else None


def refuse_several_copies(parameters: EngineParameters) -> None:
    """Refuses what only vLLM does.

    Raises:
        UserError: when the model is to be spread or copied.
    """
    if parameters.tensor_parallel_size > 1 or (parameters.data_parallel_size or 1) > 1:
        raise UserError(
            "rollout.engine asks for several copies or pieces of the model, which the engine on plain transformers "
            "does not do: leave tensor_parallel_size and data_parallel_size out, or install vLLM."
        )


def vllm_fault() -> str | None:
    """Why vLLM does not work on this machine, None when it does."""
    set_environment()
    try:
        importlib.import_module("vllm.v1.engine.async_llm")
        platform = importlib.import_module("vllm.platforms").current_platform
    except (ImportError, OSError, RuntimeError) as error:  # the last two: a library it links is missing, or too old
        return f"{type(error).__name__}: {error}"
    import torch

    if platform.is_cpu() or torch.cuda.device_count():
        return None
    return "it was built for GPUs, and there is none"


def version_of_vllm() -> str:
    """As its module says; the distribution's name differs between builds."""
    return str(importlib.import_module("vllm").__version__)
