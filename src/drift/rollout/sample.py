"""One rollout from beginning to end: engine up, episodes driven, whole problems written, nothing sampled twice."""

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, aclosing, closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from drift.errors import UserError
from drift.fingerprint import fingerprint
from drift.formats import with_sampling_format
from drift.parameters import EngineParameters
from drift.protocol.chat import chat_format_of
from drift.protocol.fit import refuse_too_long
from drift.rollout.costs import Costs
from drift.rollout.display import Tally, shown
from drift.rollout.engine import Engine
from drift.rollout.kept_engine import EngineKeeper, run_with_engine
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
    """Samples a rollout, or what is left of it, and returns its finished shards; see `sample_together`."""
    (shards,) = sample_together({description: rollout}, engine, rows_per_shard, root)
    return shards


def sample_together(
    rollouts: Mapping[str, Rollout], engine: EngineParameters, rows_per_shard: int, root: Path
) -> list[Shards]:
    """Samples rollouts of one policy, or what is left of them, one after the other with a single start of the engine.

    Args:
        rollouts: what is sampled, by what is done, for progress and messages.
        engine: how the engine uses the machine; it does not decide the result.
        rows_per_shard: most trajectories of one shard.
        root: under which every rollout has a directory of its own.

    Returns:
        The finished shards of each rollout.

    Raises:
        UserError: when an episode could outgrow the model's context, the engine fails, the disk is full, or another
            process is at it.
        KeyboardInterrupt: when the user stops it, after a sentence that says what is kept.
    """
    rollouts = {
        description: replace(rollout, model=with_sampling_format(rollout.model, rollout.policy.path, root.parent))
        for description, rollout in rollouts.items()
    }
    with ExitStack() as held:
        directories = [
            held.enter_context(working_directory(root, rollout.facts(), description))
            for description, rollout in rollouts.items()
        ]
        sessions = []
        for directory, (description, rollout) in zip(directories, rollouts.items(), strict=True):
            finished, num_problems = finished_problems(directory), len(rollout.problems)
            num_finished = len(finished.problem_ids)
            if num_finished:
                logger.info(
                    "%s: %d of %d problems are there already",
                    description[:1].upper() + description[1:],
                    num_finished,
                    num_problems,
                )
            if num_finished < num_problems:
                held.enter_context(_told_when_interrupted(directory, num_problems))
                sessions.append(_Session(rollout, directory, description, finished))
            elif not (directory / MANIFEST).exists():
                ShardWriter(directory, rows_per_shard).finish()
        if sessions:
            _run(sessions, engine, rows_per_shard)
        for directory, rollout in zip(directories, rollouts.values(), strict=True):
            _refuse_incomplete(rollout, directory)
            write_manifest(directory, rollout.facts(), asdict(Costs.load(directory)))
    return [Shards.open(directory) for directory in directories]


def start_verifiers() -> VerifierPool:
    """The worker processes that judge answers."""
    return VerifierPool(max(2, min(_MOST_VERIFIERS, usable_cores() // 2)), _VERIFIER_TIMEOUT_SECONDS)


class _Session:
    """What one process does for a rollout: it samples the problems that are not finished yet."""

    def __init__(self, rollout: Rollout, directory: Path, description: str, finished: Finished) -> None:
        """Checks what can be checked before an engine is started."""
        self.rollout, self.directory, self.description = rollout, directory, description
        self.remaining = [problem for problem in rollout.problems if problem.problem_id not in finished.problem_ids]
        model, protocol = rollout.policy.path, rollout.protocol
        self.chat = chat_format_of(model, protocol, rollout.model.trust_remote_code)
        self.context_tokens = refuse_too_long(
            self.remaining, self.chat, model, protocol.max_turns, rollout.max_new_tokens
        )
        _check_disk(directory, len(self.remaining) * rollout.num_trajectories * self.context_tokens)
        self.costs = Costs.load(directory)
        num_finished = len(finished.problem_ids)
        self.tally = Tally(  # goes on where earlier processes stopped
            num_problems=len(rollout.problems),
            num_trajectories=rollout.num_trajectories,
            finished_problems=num_finished,
            finished_trajectories=num_finished * rollout.num_trajectories,
            solved_at_turn_K=[finished.solved_at[turn + 1] for turn in range(protocol.max_turns)],
        )

    def begin(self) -> int:
        """Counts this process; returns a seed for its noise, since a continued rollout must not draw the same again."""
        session = begin_session(self.directory, self.rollout.facts(), self.description)
        return int(fingerprint({"seed": self.rollout.seed, "session": session}), 16)

    async def sample(self, engine: Engine, verifiers: VerifierPool, writing: Executor, writer: ShardWriter) -> None:
        """Drives the engine over the problems and writes them as they finish."""
        rollout, loop, costs, tally = self.rollout, asyncio.get_running_loop(), self.costs, self.tally
        seed = rollout.seed if rollout.seed_per_request else None
        tally.start()
        sampling = rollout.sampling(self.chat)
        conversation = Conversation(
            engine, self.chat, verifiers, sampling, rollout.protocol.max_turns, seed, costs, tally.add_turn
        )
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


def _run(sessions: Sequence[_Session], parameters: EngineParameters, rows_per_shard: int) -> None:
    """Starts the engine, lets the sessions use it, and makes their last shards."""
    context_tokens = max(session.context_tokens for session in sessions)
    engine_seed, *_ = [session.begin() for session in sessions]
    most_demanding = max((session.rollout for session in sessions), key=lambda rollout: rollout.seed_per_request)
    with ExitStack() as ending:
        for session in sessions:
            ending.callback(session.costs.save, session.directory)
        writers = [
            ending.enter_context(closing(ShardWriter(session.directory, rows_per_shard))) for session in sessions
        ]
        asked = (most_demanding, parameters, context_tokens, engine_seed)
        run_with_engine(lambda keeper: _sample(keeper, asked, sessions, writers))


async def _sample(
    keeper: EngineKeeper,
    asked: tuple[Rollout, EngineParameters, int, int],
    sessions: Sequence[_Session],
    writers: Sequence[ShardWriter],
) -> None:
    """The sessions one after the other; the first one's display shows the engine's start.

    Args:
        keeper: who has the engine.
        asked: what it is asked for an engine with.
        sessions: what is sampled.
        writers: of each session's shards.
    """
    with start_verifiers() as verifiers, ThreadPoolExecutor(1) as writing:
        engine: Engine | None = None
        for session, writer in zip(sessions, writers, strict=True):
            with shown(session.description, session.tally):
                if engine is None:
                    with session.costs.time("engine_start"):
                        engine = await keeper.engine(*asked)
                await session.sample(engine, verifiers, writing, writer)
            writer.finish()


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
