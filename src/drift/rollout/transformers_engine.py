"""The engine for machines where vLLM does not install: a decoding loop on plain transformers, in a thread of its own.

Requests join and leave the batch at every token, so that nobody waits for the slowest; see `slots` for what is computed
and `draws` for the noise. benchmarks/transformers_engine.py measures it beside transformers' own loops.
"""

import asyncio
import logging
import os
import queue
import random
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drift.adapters import merged
from drift.errors import UserError
from drift.parameters import EngineParameters, FloatType
from drift.rollout.draws import draw_tokens
from drift.rollout.engine import Completion, Sampling
from drift.rollout.slots import Slots, cache_bytes_per_token

logger = logging.getLogger(__name__)

# Most tokens of one forward pass over new contexts, padding included.
_PREFILL_TOKENS = 4096
# New contexts are held back until they are this share of the batch, because a pass over few tokens costs nearly as much
# as one over many, but no longer than this.
_JOINING_SHARE = 1 / 16
_MOST_TOKENS_HELD_BACK = 8
_CACHE_SHARE_OF_FREE_MEMORY = 0.7


@dataclass(eq=False)
class _Request:
    """One response in the making; a cancelled future ends it."""

    token_ids: list[int]
    sampling: Sampling
    noise: random.Random
    future: "Future[Completion]" = field(default_factory=Future)
    response: list[int] = field(default_factory=list)
    slot: int = -1
    num_cached: int = 0


class TransformersEngine:
    """One policy in this process: `generate` hands requests to the thread that runs the model."""

    def __init__(self, slots: Slots, num_slots: int, max_context_tokens: int, seed: int) -> None:
        self.max_in_flight = num_slots
        self._slots = slots
        self._max_context_tokens = max_context_tokens
        self._seeds = random.Random(seed)
        self._arrivals: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._waiting: deque[_Request] = deque()
        self._active: dict[int, _Request] = {}  # by slot
        self._tokens_held_back = 0
        self._closing = False
        self._error: Exception | None = None

    async def generate(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        """Continues `token_ids` by one response; see `Engine`.

        Raises:
            UserError: when the conversation does not fit, or the machine ran out of memory.
        """
        if not token_ids or len(token_ids) + sampling.max_new_tokens > self._max_context_tokens:
            raise UserError(
                f"A context of {len(token_ids)} tokens and a response of up to {sampling.max_new_tokens} do not fit "
                f"into the {self._max_context_tokens} tokens of the engine: raise rollout.engine.max_context_tokens."
            )
        noise = random.Random(self._seeds.getrandbits(64) if seed is None else seed)
        request = _Request(list(token_ids), sampling, noise)
        self._arrivals.put(request)
        if self._error is not None:
            raise self._error
        return await asyncio.wrap_future(request.future)

    async def take_weights(self, model_path: Path, version: str) -> bool:
        """Does not: another one is up in a second or two."""
        return False

    def close(self) -> None:
        """Tells the thread to end."""
        self._arrivals.put(None)

    def run(self) -> None:
        """What the thread does until `close`; an error reaches everyone who waits."""
        import torch

        try:
            with torch.inference_mode():
                while self._take_arrivals():
                    self._drop_cancelled()
                    self._join()
                    if self._active:
                        requests = [self._active[slot] for slot in sorted(self._active)]
                        self._extend(requests, [request.response[-1:] for request in requests])
            self._fail(RuntimeError("The engine was closed before the response was drawn."))
        except Exception as error:
            self._fail(_as_user_error(error))
        finally:
            del self._slots

    def _take_arrivals(self) -> bool:
        """Moves what has arrived to the waiting requests, and sleeps while there is nothing to do."""
        while not self._closing and (not self._arrivals.empty() or not (self._waiting or self._active)):
            request = self._arrivals.get()
            if request is None:
                self._closing = True
            else:
                self._waiting.append(request)
        return not self._closing

    def _drop_cancelled(self) -> None:
        for request in list(self._active.values()):
            if request.future.cancelled():
                self._leave(request)
        self._waiting = deque(request for request in self._waiting if not request.future.cancelled())

    def _join(self) -> None:
        """Computes the contexts of waiting requests, as far as there are slots, and draws their first tokens."""
        joining = min(len(self._waiting), self._slots.num_free)
        if not joining:
            return
        if joining < _JOINING_SHARE * len(self._active) and self._tokens_held_back < _MOST_TOKENS_HELD_BACK:
            self._tokens_held_back += 1
            return
        self._tokens_held_back = 0
        while self._waiting and self._slots.num_free:
            placed: list[_Request] = []
            for request in list(self._waiting):
                if self._slots.num_free and (place := self._slots.place(request.token_ids)):
                    request.slot, request.num_cached = place
                    self._active[request.slot] = request
                    placed.append(request)
            self._waiting = deque(request for request in self._waiting if request.slot < 0)
            for batch in _batches(placed):
                self._extend(batch, [request.token_ids[request.num_cached :] for request in batch])

    def _extend(self, requests: list[_Request], new_ids: list[list[int]]) -> None:
        """Computes the new ids of each request, draws its next token, and answers it if that was the last."""
        logits = self._slots.feed([request.slot for request in requests], new_ids)
        uniforms = [request.noise.random() for request in requests]
        token_ids = draw_tokens(logits, [request.sampling for request in requests], uniforms)
        for request, token_id in zip(requests, token_ids, strict=True):
            request.response.append(token_id)
            stopped = token_id in request.sampling.stop_ids
            if stopped or len(request.response) == request.sampling.max_new_tokens:
                self._leave(request)
                if request.future.set_running_or_notify_cancel():
                    request.future.set_result(Completion(request.response, stopped, request.num_cached))

    def _leave(self, request: _Request) -> None:
        del self._active[request.slot]
        self._slots.release(request.slot)

    def _fail(self, error: Exception) -> None:
        """Gives everyone who waits, and whoever comes later, the error."""
        self._error = error
        left = list(dict.fromkeys([*self._active.values(), *self._waiting]))  # one that was just placed is in both
        while not self._arrivals.empty():
            if request := self._arrivals.get():
                left.append(request)
        for request in left:
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(error)


def _batches(requests: list[_Request]) -> list[list[_Request]]:
    """Groups of about equal length, so that little is padded, of at most `_PREFILL_TOKENS` each."""
    batches: list[list[_Request]] = []
    by_length = sorted(requests, key=lambda request: len(request.token_ids) - request.num_cached)
    for request in by_length:
        length = len(request.token_ids) - request.num_cached
        if batches and (len(batches[-1]) + 1) * length <= _PREFILL_TOKENS:
            batches[-1].append(request)
        else:
            batches.append([request])
    return batches


@asynccontextmanager
async def start_transformers(
    model_path: Path,
    parameters: EngineParameters,
    *,
    dtype: FloatType,
    max_context_tokens: int,
    seed: int,
    trust_remote_code: bool,
    adapter: Path | None = None,
) -> AsyncIterator[TransformersEngine]:
    """Starts an engine for one policy and stops it, whatever happens inside.

    Args:
        model_path: local Hugging Face directory with safetensors.
        parameters: engine settings.
        dtype: number format of the computation.
        max_context_tokens: longest episode that will be sampled.
        seed: of the engine's own stream, for requests without a seed.
        trust_remote_code: whether code beside the model may run.
        adapter: directory of a LoRA adapter, which is merged into the model.

    Raises:
        UserError: when the model cannot be loaded, is of a kind this engine does not decode, or does not fit.
    """
    import torch

    threads_before = torch.get_num_threads()
    if parameters.cpu_threads is not None:
        torch.set_num_threads(parameters.cpu_threads)
    try:
        engine = await asyncio.to_thread(
            _load, model_path, adapter, parameters.max_sequences, dtype, max_context_tokens, seed, trust_remote_code
        )
        thread = threading.Thread(target=engine.run, name="drift-transformers-engine", daemon=True)
        thread.start()
        try:
            yield engine
        finally:
            engine.close()
            thread.join()  # not in another thread: there are none when the interpreter ends
    finally:
        torch.set_num_threads(threads_before)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _load(
    model_path: Path,
    adapter: Path | None,
    max_sequences: int | None,
    dtype: FloatType,
    max_context_tokens: int,
    seed: int,
    trust_remote_code: bool,
) -> TransformersEngine:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            model_path, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=trust_remote_code
        )
        if adapter is not None:
            model = merged(model, adapter)
        model = model.to(kind).eval()
        with torch.inference_mode():
            token_bytes = cache_bytes_per_token(model, max_context_tokens)
            num_slots = max_sequences or _slots_that_fit(kind, token_bytes * max_context_tokens)
            slots = Slots(model, num_slots, max_context_tokens)
    except OSError as error:
        raise UserError(f"The transformers engine cannot load {model_path}: {error}") from error
    except Exception as error:
        raise _as_user_error(error) from error
    logger.info("transformers engine on %s: %d sequences of up to %d tokens", kind, num_slots, max_context_tokens)
    return TransformersEngine(slots, num_slots, max_context_tokens, seed)


def _slots_that_fit(kind: str, slot_bytes: int) -> int:
    """128 on a CPU and 1,024 elsewhere, or fewer where their cache would not fit."""
    import torch

    if kind == "cuda":
        most, free_bytes = 1024, torch.cuda.mem_get_info()[0]
    elif kind == "mps":
        most, free_bytes = 1024, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    else:
        # What is free is not known on every system; half of what there is leaves room for the rest.
        most, free_bytes = 128, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return max(1, min(most, int(free_bytes * _CACHE_SHARE_OF_FREE_MEMORY) // slot_bytes))


def _as_user_error(error: Exception) -> Exception:
    """Out of memory in words; anything else as it is."""
    import torch

    ran_out = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if ran_out or "out of memory" in str(error) or "can't allocate memory" in str(error):
        return UserError(
            "The transformers engine ran out of memory: lower rollout.engine.max_sequences or "
            "rollout.engine.max_context_tokens and run the same command again."
        )
    return error
