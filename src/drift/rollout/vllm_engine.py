"""vLLM's asynchronous engine, tokens in and tokens out, with prefix caching.

The N first turns of a problem share one prefill, and a next turn prefills only the feedback, because it starts with the
exact tokens that are in the cache. vLLM is imported when the engine starts, not before.
"""

import itertools
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift.errors import UserError
from drift.parameters import EngineParameters, FloatType
from drift.rollout.engine import Completion, Sampling
from drift.rollout.parent_death import PARENT_VARIABLE

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

logger = logging.getLogger(__name__)

_CPU_BLOCK_TOKENS = 32


class VllmEngine:
    """One policy served by vLLM in processes of its own."""

    def __init__(self, llm: "AsyncLLM") -> None:
        self._llm = llm
        self._request_numbers = itertools.count()

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continues `token_ids` by one response.

        Raises:
            RuntimeError: when the engine saw another context than the one it was given.
            UserError: when the engine's process has died.
        """
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=sorted(sampling.stop_ids),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = TokensPrompt(prompt_token_ids=list(token_ids))
        final: Any = None
        try:
            async for output in self._llm.generate(prompt, parameters, request_id=str(next(self._request_numbers))):
                final = output
        except EngineDeadError as error:
            raise UserError(
                "vLLM's engine process died (out of memory is the usual reason; lower rollout.engine.max_sequences or "
                "cpu_cache_gib): run the same command again, finished problems are kept."
            ) from error
        if final is None or final.prompt_token_ids != prompt["prompt_token_ids"]:
            raise RuntimeError(
                "The engine did not continue the exact tokens it was given; the trajectory is not usable."
            )
        response = final.outputs[0]
        return Completion(list(response.token_ids), stopped=response.finish_reason == "stop")


@asynccontextmanager
async def start_vllm(
    model_path: Path,
    parameters: EngineParameters,
    *,
    dtype: FloatType,
    max_context_tokens: int,
    seed: int,
    trust_remote_code: bool,
) -> AsyncIterator[VllmEngine]:
    """Starts an engine for one policy and stops it, whatever happens inside.

    Args:
        model_path: local Hugging Face directory.
        parameters: engine settings.
        dtype: number format of the computation.
        max_context_tokens: longest episode that will be sampled.
        seed: of the engine's random numbers; every request draws its own from them.
        trust_remote_code: whether code beside the model may run.

    Raises:
        UserError: when vLLM is not installed or cannot start.
    """
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    llm = _launch(
        model=str(model_path),
        dtype=dtype,
        seed=seed % 2**31,
        max_model_len=max_context_tokens,
        max_num_seqs=parameters.max_sequences,
        tensor_parallel_size=parameters.tensor_parallel_size,
        gpu_memory_utilization=parameters.memory_share,
        trust_remote_code=trust_remote_code,
        cpu_cache_gib=parameters.cpu_cache_gib,
    )
    try:
        yield VllmEngine(llm)
    finally:
        llm.shutdown()
        # Its destructor would shut down once more, and fail if that is when the interpreter ends.
        vars(llm)["shutdown"] = lambda: None
        del os.environ[PARENT_VARIABLE]


def _launch(*, cpu_cache_gib: int, **arguments: Any) -> "AsyncLLM":  # noqa: ANN401
    """Starts vLLM's processes; environment variables are the only way it takes some settings."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
    os.environ.setdefault(
        "OMP_NUM_THREADS", str(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count())
    )
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(cpu_cache_gib)
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise UserError(
            f"The sampling engine vLLM cannot be imported ({error}): install it with `make venv`, "
            "or `pip install -e '.[gpu]'` on a machine with an NVIDIA GPU."
        ) from error
    if current_platform.is_cpu():
        # Blocks of 128 tokens, the default on a CPU, are never filled by short prompts, and only full ones are cached.
        arguments |= {"enforce_eager": True, "block_size": _CPU_BLOCK_TOKENS}
    engine_args = AsyncEngineArgs(
        **arguments,
        enable_prefix_caching=True,
        disable_log_stats=True,
        skip_tokenizer_init=True,
        use_tqdm_on_load=False,
    )
    try:
        return AsyncLLM.from_engine_args(engine_args)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"vLLM could not start with this model and these engine settings (rollout.engine): {error}"
        ) from error
