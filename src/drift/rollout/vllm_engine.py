"""vLLM's asynchronous engine, tokens in and tokens out, with prefix caching.

The N first turns of a problem share one prefill, and a next turn prefills only the feedback, because it starts with the
exact tokens that are in the cache. vLLM is imported when the engine starts, not before.
"""

import asyncio
import itertools
import json
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, get_args

from drift.errors import UserError
from drift.parameters import EngineParameters, FloatType
from drift.parent_death import PARENT_VARIABLE
from drift.rollout.engine import Completion, Sampling
from drift.rollout.vllm_settings import engine_arguments, set_environment, threads_of_processes

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.async_llm import AsyncLLM

# Conversations that wait for their verdict leave room in the engine, which others fill.
_ADMITTED_BEYOND_RUNNING = 1.25
# Its processes have nothing to save: whoever waits after Ctrl-C waits for this.
_SECONDS_TO_END = 1.0


class VllmEngine:
    """One policy served by vLLM in processes of its own.

    Attributes:
        max_in_flight: how many conversations keep it full without pushing each other out of its cache.
    """

    def __init__(self, llm: "AsyncLLM", adapter: Path | None) -> None:
        self._llm = llm
        self._adapter = _lora_request(adapter)
        self._request_numbers = itertools.count()
        self.max_in_flight = _max_in_flight(llm)

    async def generate(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        """Continues `token_ids` by one response; see `drift.rollout.engine.Engine`.

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
            seed=seed,
            ignore_eos=True,  # the stop ids say it all; vLLM would add the end of sequence of the model's configuration
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = TokensPrompt(prompt_token_ids=list(token_ids))
        number = str(next(self._request_numbers))
        final: Any = None
        try:
            async for output in self._llm.generate(prompt, parameters, number, lora_request=self._adapter):
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
        return Completion(list(response.token_ids), response.finish_reason == "stop", final.num_cached_tokens or 0)

    async def take_weights(self, model_path: Path, version: str) -> bool:
        """Loads another policy of the same architecture into the running engine.

        Raises:
            Exception: of vLLM's, when it could not; the engine must not be used any more.
        """
        if self._adapter is not None:
            return False
        await self._llm.pause_generation(mode="wait")
        await self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(model_path)})
        await self._llm.collective_rpc("renew_output_layer")
        await self._llm.reset_prefix_cache()  # it holds what the old weights computed
        await self._llm.update_weight_version(version)
        await self._llm.resume_generation()
        return True


@asynccontextmanager
async def start_vllm(
    model_path: Path,
    parameters: EngineParameters,
    *,
    dtype: FloatType,
    max_context_tokens: int,
    seed: int,
    trust_remote_code: bool,
    seed_per_request: bool = False,
    adapter: Path | None = None,
) -> AsyncIterator[VllmEngine]:
    """Starts an engine for one policy and stops it, whatever happens inside.

    Args:
        model_path: local Hugging Face directory.
        parameters: engine settings.
        dtype: number format of the computation.
        max_context_tokens: longest episode that will be sampled.
        seed: of the engine's random numbers; every request draws its own from them.
        trust_remote_code: whether code beside the model may run.
        seed_per_request: whether requests bring seeds of their own.
        adapter: directory of a LoRA adapter that is served with the model.

    Raises:
        UserError: when vLLM is not installed, refuses the settings, or cannot start.
    """
    set_environment()
    arguments = {
        **engine_arguments(parameters, max_context_tokens, seed_per_request),
        **_lora_arguments(adapter),
        "model": str(model_path),
        "dtype": dtype,
        "seed": seed % 2**31,
        "trust_remote_code": trust_remote_code,
    }
    with threads_of_processes(parameters), _ctrl_c_ends_the_start():
        llm = _launch(**arguments)
    # It writes the traceback of what it raises as well. (While it starts, vLLM sets all levels anew.)
    logging.getLogger("vllm.v1.engine.async_llm").setLevel(logging.CRITICAL)
    try:
        yield VllmEngine(llm, adapter)
    finally:
        llm.shutdown(timeout=_SECONDS_TO_END)
        # Its destructor would shut down once more, and fail if that is when the interpreter ends.
        vars(llm)["shutdown"] = lambda: None


@contextmanager
def _ctrl_c_ends_the_start() -> Iterator[None]:
    """On Ctrl-C the processes that are starting are killed: the event loop would wait until they are up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def end(number: int, frame: FrameType | None) -> None:
        for process in multiprocessing.active_children():
            if "EngineCore" in process.name:
                process.kill()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _launch(**arguments: Any) -> "AsyncLLM":  # noqa: ANN401
    """Starts vLLM's processes."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    engine_args = AsyncEngineArgs(
        **arguments,
        enable_prefix_caching=True,
        disable_log_stats=True,
        skip_tokenizer_init=True,
        use_tqdm_on_load=False,
        worker_extension_cls="drift.rollout.vllm_worker.WorkerExtension",
    )
    os.environ[PARENT_VARIABLE] = str(os.getpid())  # see `parent_death`
    # Ctrl-C of a terminal reaches the new processes too, before `parent_death` is there: they inherit that this thread
    # does not take it. This process still does, in its other threads.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return AsyncLLM.from_engine_args(engine_args)
    except (RuntimeError, ValueError) as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from None  # Ctrl-C has ended the engine, not its settings
        raise UserError(
            f"vLLM could not start with this model and these engine settings (rollout.engine): {error}"
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        del os.environ[PARENT_VARIABLE]


def _max_in_flight(llm: "AsyncLLM") -> int:
    """As many conversations as the engine runs and a few more, but no more than its cache holds.

    Conversations in flight are spread between their prompt and their longest length, so half of that is counted.
    """
    config = llm.vllm_config
    running = config.scheduler_config.max_num_seqs * config.parallel_config.data_parallel_size
    cached_tokens = (config.cache_config.num_gpu_blocks or 0) * config.cache_config.block_size
    held = 2 * cached_tokens // config.model_config.max_model_len
    return max(1, min(int(_ADMITTED_BEYOND_RUNNING * running), held))


def _lora_arguments(adapter: Path | None) -> dict[str, Any]:
    """The engine arguments that make room for one adapter of its rank.

    Raises:
        UserError: when vLLM does not serve adapters of its rank.
    """
    if adapter is None:
        return {}
    from vllm.config.lora import MaxLoRARanks

    rank = json.loads((adapter / "adapter_config.json").read_text())["r"]
    ranks = get_args(MaxLoRARanks)
    if rank > max(ranks):
        raise UserError(f"model.adapter: vLLM serves LoRA adapters up to rank {max(ranks)}, this one has rank {rank}.")
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": min(size for size in ranks if size >= rank)}


def _lora_request(adapter: Path | None) -> "LoRARequest | None":
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, 1, str(adapter))
