"""One engine for a whole run: it stays up between the stages, and takes the weights of the next policy.

Starting vLLM takes twenty seconds to a minute; giving a running one new weights takes one. Inside `engine_kept` a
rollout and the evaluations of every policy therefore share a start. Whatever goes wrong ends the engine: it never
samples from half a policy, and the next stage starts a new one.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drift.parameters import EngineParameters
from drift.rollout.engine import Engine
from drift.rollout.engine_choice import EngineKind
from drift.rollout.engines import choose_engine, context_room, start_engine
from drift.rollout.plan import Rollout

logger = logging.getLogger(__name__)

_ROOM_STEP = 64
"""Room is rounded up to whole steps, so that the next stage's slightly longer prompts find room as well."""
_NOT_OF_THE_ARCHITECTURE = ("dtype", "torch_dtype", "transformers_version", "_name_or_path")


@dataclass(frozen=True)
class _Needs:
    """What an engine is started for; weights of the same architecture may be replaced while it runs."""

    parameters: EngineParameters
    dtype: str
    trust_remote_code: bool
    seed_per_request: bool
    adapter: Path | None
    architecture: str


@dataclass
class _Running:
    """An engine that is up, and which policy it serves."""

    context: AbstractAsyncContextManager[Engine]
    engine: Engine
    kind: EngineKind
    needs: _Needs
    room: int
    policy: str


class EngineKeeper:
    """At most one running engine; everything happens in one event loop."""

    def __init__(self) -> None:
        self._running: _Running | None = None

    async def engine(self, rollout: Rollout, parameters: EngineParameters, context_tokens: int, seed: int) -> Engine:
        """An engine that serves the rollout's policy: the running one, with new weights if need be, or a new one.

        Args:
            rollout: what will be sampled.
            parameters: `rollout.engine`.
            context_tokens: longest conversation.
            seed: of a new engine's noise; a running one goes on with its own, which never repeats.

        Raises:
            UserError: when the engine is not there or has no room.
        """
        needs = _needs(rollout, parameters)
        running = self._running
        if (
            running is not None
            and running.needs == needs
            and context_tokens <= running.room
            and (running.policy == rollout.policy.fingerprint or await self._renewed(running, rollout))
        ):
            return running.engine
        await self.stop()
        room = context_room(parameters, context_tokens)
        room = room if parameters.max_context_tokens else -(-room // _ROOM_STEP) * _ROOM_STEP
        kind = choose_engine(parameters, rollout)
        context = start_engine(kind, rollout, parameters, room, seed)
        engine = await context.__aenter__()
        self._running = _Running(context, engine, kind, needs, room, rollout.policy.fingerprint)
        return engine

    async def _renewed(self, running: _Running, rollout: Rollout) -> bool:
        """Whether the running engine has taken the policy's weights."""
        begun = time.monotonic()
        try:
            taken = await running.engine.take_weights(rollout.policy.path, rollout.policy.fingerprint)
        except Exception as error:  # whatever it is, the engine is not used again
            logger.warning("The engine could not take the new weights and is started anew (%s)", error)
            return False
        if taken:
            running.policy = rollout.policy.fingerprint
            logger.info("The running engine has taken the policy's weights (%.1f s)", time.monotonic() - begun)
        return taken

    async def stop(self) -> None:
        """Ends the engine, if one is up."""
        if running := self._running:
            self._running = None
            await running.context.__aexit__(None, None, None)


_kept: tuple[asyncio.Runner, EngineKeeper] | None = None


@contextmanager
def engine_kept() -> Iterator[None]:
    """Inside, the engine stays up after a rollout, for the next one; one of these at a time."""
    global _kept
    runner, keeper = asyncio.Runner(), EngineKeeper()
    _kept = (runner, keeper)
    try:
        yield
    finally:
        _kept = None
        try:
            runner.run(keeper.stop())
        finally:
            runner.close()


def release_engine() -> None:
    """Ends the engine that is kept, if there is one: somebody else needs the memory."""
    if _kept is not None:
        runner, keeper = _kept
        runner.run(keeper.stop())


def run_with_engine(work: Callable[[EngineKeeper], Coroutine[Any, Any, None]]) -> None:
    """Runs work that asks a keeper for engines; without `engine_kept`, the engine ends with the work."""
    if _kept is None or _loop_is_running():
        _run_coroutine(_with_own_keeper(work))
        return
    runner, keeper = _kept
    try:
        runner.run(work(keeper))
    except BaseException:
        runner.run(keeper.stop())
        raise


async def _with_own_keeper(work: Callable[[EngineKeeper], Coroutine[Any, Any, None]]) -> None:
    keeper = EngineKeeper()
    try:
        await work(keeper)
    finally:
        await keeper.stop()


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_coroutine(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end, also where a loop is running already (a notebook): then in a thread of its own."""
    if not _loop_is_running():
        asyncio.run(coroutine)
        return
    loop = asyncio.new_event_loop()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(coroutine)

    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(run)
        try:
            running.result()
        except KeyboardInterrupt:  # it reaches this thread, and the coroutine runs in another
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
            wait([running])
            raise


def _needs(rollout: Rollout, parameters: EngineParameters) -> _Needs:
    config = json.loads((rollout.policy.path / "config.json").read_text())
    architecture = {name: value for name, value in config.items() if name not in _NOT_OF_THE_ARCHITECTURE}
    return _Needs(
        parameters,
        rollout.model.dtype,
        rollout.model.trust_remote_code,
        rollout.seed_per_request,
        rollout.policy.adapter,
        json.dumps(architecture, sort_keys=True),
    )
