"""One rollout from beginning to end: engine up, episodes driven, whole problems written, nothing sampled twice."""

import asyncio
import logging
import shutil
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from drift.errors import UserError
from drift.fingerprint import fingerprint
from drift.parameters import EngineParameters
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.protocol.fit import refuse_too_long
from drift.rollout.costs import Costs
from drift.rollout.display import Tally, shown
from drift.rollout.engine import Engine
from drift.rollout.engines import start_engine
from drift.rollout.plan import Rollout
from drift.rollout.scheduler import Conversation, run_problems
from drift.rollout.shard_writer import Finished, ShardWriter, finished_problems
from drift.rollout.vllm_settings import usable_cores
from drift.shards import MANIFEST, Shards, write_manifest
from drift.verification.pool import VerifierPool
from drift.working_directory import begin_session, working_directory

logger = logging.getLogger(__name__)

_VERIFIER_TIMEOUT_SECONDS = 10.0
_MOST_VERIFIERS = 16
_SECONDS_BETWEEN_SAVED_COSTS = 10.0
# What a token of a trajectory takes on the disk, its text included, and what a machine needs anyway.
_BYTES_PER_TOKEN = 4
_LEAST_FREE_BYTES = 64 * 2**20


def sample(rollout: Rollout, engine: EngineParameters, rows_per_shard: int, root: Path, description: str) -> Shards:
    """Samples a rollout, or what is left of it, and returns its finished shards.

    Args:
        rollout: what is sampled.
        engine: how the engine uses the machine; it does not decide the result.
        rows_per_shard: most trajectories of one shard.
        root: under which the rollout has a directory of its own.
        description: what is done, for progress and messages.

    Raises:
        UserError: when an episode could outgrow the model's context, the engine fails, the disk is full, or another
            process is at it.
        KeyboardInterrupt: when the user stops it, after a sentence that says what is kept.
    """
    facts = rollout.facts()
    with working_directory(root, facts, description) as directory:
        finished = finished_problems(directory)
        remaining = [problem for problem in rollout.problems if problem.problem_id not in finished.problem_ids]
        if finished.problem_ids:
            done, total = len(finished.problem_ids), len(rollout.problems)
            logger.info("%s: %d of %d problems are there already", description.capitalize(), done, total)
        if remaining:
            with _told_when_interrupted(directory, len(rollout.problems)):
                _Session(rollout, engine, directory, description, remaining, finished).run(rows_per_shard)
        elif not (directory / MANIFEST).exists():
            ShardWriter(directory, rows_per_shard).finish()
        _refuse_incomplete(rollout, directory)
        write_manifest(directory, facts, asdict(Costs.load(directory)))
    return Shards.open(directory)


def start_verifiers() -> VerifierPool:
    """The worker processes that judge answers."""
    return VerifierPool(max(2, min(_MOST_VERIFIERS, usable_cores() // 2)), _VERIFIER_TIMEOUT_SECONDS)


@dataclass(frozen=True)
class _Session:
    """What one process does for a rollout: it samples the problems that are not finished yet."""

    rollout: Rollout
    engine: EngineParameters
    directory: Path
    description: str
    remaining: Sequence[Problem]
    finished: Finished

    def run(self, rows_per_shard: int) -> None:
        """Checks what can be checked, samples, and makes the last shard."""
        rollout, model = self.rollout, self.rollout.policy.path
        chat = chat_format_of(model, rollout.protocol, rollout.model.trust_remote_code)
        context = refuse_too_long(self.remaining, chat, model, rollout.protocol.max_turns, rollout.max_new_tokens)
        _check_disk(self.directory, len(self.remaining) * rollout.num_trajectories * context)
        tally, costs = self._tally(), Costs.load(self.directory)
        # A continued rollout must not draw the same noise again: the engine's seed depends on how often it was begun.
        session = begin_session(self.directory, rollout.facts(), self.description)
        engine_seed = int(fingerprint({"seed": rollout.seed, "session": session}), 16)
        starting = start_engine(rollout, self.engine, context, engine_seed)  # says which, before the display is there
        writer = ShardWriter(self.directory, rows_per_shard)
        try:
            with shown(self.description, tally):
                run_coroutine(self._sample(starting, chat, writer, tally, costs))
            writer.finish()
        finally:
            writer.close()
            costs.save(self.directory)

    async def _sample(
        self,
        starting: AbstractAsyncContextManager[Engine],
        chat: ChatFormat,
        writer: ShardWriter,
        tally: Tally,
        costs: Costs,
    ) -> None:
        """Drives the engine over the problems and writes them as they finish."""
        rollout, loop = self.rollout, asyncio.get_running_loop()
        seed = rollout.seed if rollout.seed_per_request else None
        begun = time.perf_counter()
        with start_verifiers() as verifiers, ThreadPoolExecutor(1) as writing:
            async with starting as engine:
                costs.engine_start_seconds += time.perf_counter() - begun
                tally.start()
                sampling = rollout.sampling(chat)
                conversation = Conversation(engine, chat, verifiers, sampling, rollout.protocol.max_turns, seed, costs)
                runs = run_problems(conversation, self.remaining, rollout.num_trajectories, tally.add)
                with costs.time("sampling"), costs.count_grades(verifiers):
                    saved = time.monotonic()
                    async with aclosing(runs):
                        async for problems in runs:
                            with costs.time("writing"):
                                await loop.run_in_executor(writing, writer.add, problems)
                            tally.finished_problems += len(problems)
                            if time.monotonic() > saved + _SECONDS_BETWEEN_SAVED_COSTS:
                                costs.save(self.directory)
                                saved = time.monotonic()

    def _tally(self) -> Tally:
        """Where earlier processes stopped."""
        num_finished, num_trajectories = len(self.finished.problem_ids), self.rollout.num_trajectories
        return Tally(
            num_problems=len(self.rollout.problems),
            num_trajectories=num_trajectories,
            finished_problems=num_finished,
            finished_trajectories=num_finished * num_trajectories,
            solved_at_turn_K=[self.finished.solved_at[turn + 1] for turn in range(self.rollout.protocol.max_turns)],
        )


def _check_disk(directory: Path, most_tokens: int) -> None:
    """Refuses a full disk, and warns of one that the longest conversations would fill.

    Raises:
        UserError: when there is hardly any room.
    """
    free_bytes, most_bytes = shutil.disk_usage(directory).free, most_tokens * _BYTES_PER_TOKEN
    if free_bytes < _LEAST_FREE_BYTES:
        raise UserError(
            f"The disk of {directory} is full ({free_bytes / 2**20:,.0f} MiB free): make room, or set "
            "working_directory to another disk."
        )
    if free_bytes < most_bytes:
        logger.warning(
            "The disk of %s has %.1f GiB free, and the trajectories may need up to %.1f GiB; when it is full, what is "
            "finished is kept.",
            directory,
            free_bytes / 2**30,
            most_bytes / 2**30,
        )


@contextmanager
def _told_when_interrupted(directory: Path, num_problems: int) -> Iterator[None]:
    """Ctrl-C ends with a sentence that says what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        logger.warning(
            "Interrupted: %d of %d problems are finished and kept in %s; the same command continues.",
            len(finished_problems(directory).problem_ids),
            num_problems,
            directory,
        )
        raise


def _refuse_incomplete(rollout: Rollout, directory: Path) -> None:
    """Checks that the shards hold every trajectory of every problem exactly once, before they are declared finished."""
    every_trajectory = pl.Series(range(rollout.num_trajectories), dtype=pl.Int32).implode()
    found: list[str] = []
    complete = True
    for table in Shards(directory, {}).tables(["problem_id", "trajectory_id"]):
        of_problem = pl.DataFrame(table).group_by("problem_id").agg(pl.col("trajectory_id").sort())
        complete &= (of_problem["trajectory_id"] == every_trajectory).all()
        found += of_problem["problem_id"].to_list()
    if not complete or sorted(found) != sorted(problem.problem_id for problem in rollout.problems):
        raise RuntimeError(
            f"The shards in {directory} do not hold every trajectory exactly once; delete the directory."
        )


def run_coroutine(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end, also where a loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
    else:
        with ThreadPoolExecutor(1) as executor, asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(coroutine)
            running = executor.submit(loop.run_until_complete, task)
            try:
                running.result()
            except KeyboardInterrupt:  # it reaches this thread, and the coroutine runs in another
                loop.call_soon_threadsafe(task.cancel)
                wait([running])
                raise
