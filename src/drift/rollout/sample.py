"""One rollout from beginning to end: engine up, episodes driven, whole problems written, nothing sampled twice.

The working directory of a rollout is named by the fingerprint of everything that decides its result. Running the same
rollout again finds the problems that are finished there and goes on with the rest; any changed setting is another
directory.
"""

import asyncio
import fcntl
import logging
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from drift.errors import UserError
from drift.fingerprint import fingerprint, table_fingerprint
from drift.model_directory import ModelDirectory
from drift.parameters import EngineParameters, ModelParameters, ProtocolParameters
from drift.problems.problem import Problem, to_table
from drift.progress import progress_bar
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.protocol.episode import longest_episode_tokens
from drift.protocol.fit import refuse_too_long
from drift.protocol.prompts import PROMPT_STYLES
from drift.protocol.trajectory import TRAJECTORY_SCHEMA, Trajectory
from drift.rollout.engine import Sampling
from drift.rollout.scheduler import Conversation, run_problems
from drift.rollout.vllm_engine import start_vllm
from drift.shards import Shards, shard_files, shard_path, write_manifest, write_shard
from drift.verification.pool import VerifierPool

logger = logging.getLogger(__name__)

_VERIFIER_TIMEOUT_SECONDS = 10.0
_NUM_VERIFIERS = 2


@dataclass(frozen=True)
class Rollout:
    """Everything that decides what is sampled.

    Attributes:
        policy: the model directory of the policy.
        model: its number format and loading options.
        problems: what is asked.
        protocol: how it is asked.
        num_trajectories: N, per problem.
        temperature: 0 is greedy.
        top_p: probability mass that is kept.
        max_new_tokens: most tokens of one response.
        seed: of the sampling.
    """

    policy: ModelDirectory
    model: ModelParameters
    problems: Sequence[Problem]
    protocol: ProtocolParameters
    num_trajectories: int
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int

    def facts(self) -> dict[str, Any]:
        """What the fingerprint is taken of, and what goes into the data's provenance."""
        return {
            "model": self.policy.fingerprint,
            "dtype": self.model.dtype,
            "problems": table_fingerprint(to_table(self.problems)),
            "protocol": self.protocol.model_dump(mode="json"),
            "prompt_style": asdict(PROMPT_STYLES[self.protocol.prompt]),
            "n": self.num_trajectories,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "seed": self.seed,
        }


def sample(
    rollout: Rollout, engine: EngineParameters, problems_per_shard: int, working_directory: Path, description: str
) -> Shards:
    """Samples a rollout, or what is left of it, and returns its finished shards.

    Args:
        rollout: what is sampled.
        engine: how the engine uses the machine; it does not decide the result.
        problems_per_shard: whole problems written together.
        working_directory: under which the rollout has its own directory.
        description: the name on the progress bar.

    Raises:
        UserError: when an episode could outgrow the model's context, the engine fails, or another process is at it.
    """
    facts = rollout.facts()
    directory = working_directory / fingerprint(facts)
    directory.mkdir(parents=True, exist_ok=True)
    with exclusive(directory):
        _sample_remaining(rollout, engine, problems_per_shard, directory, description)
        _refuse_incomplete(rollout, directory)
        write_manifest(directory, facts)
    return Shards.open(directory)


def _sample_remaining(
    rollout: Rollout, engine: EngineParameters, problems_per_shard: int, directory: Path, description: str
) -> None:
    """Samples the problems that have no finished shard yet."""
    finished = _finished_problem_ids(directory)
    remaining = [problem for problem in rollout.problems if problem.problem_id not in finished]
    if finished:
        logger.info("%s: %d of %d problems are there already", description, len(finished), len(rollout.problems))
    if remaining:
        chat = chat_format_of(rollout.policy.path, rollout.protocol, rollout.model.trust_remote_code)
        refuse_too_long(remaining, chat, rollout.policy.path, rollout.protocol.max_turns, rollout.max_new_tokens)
        writer = _ShardWriter(directory, problems_per_shard)
        total = len(rollout.problems) * rollout.num_trajectories
        done = len(finished) * rollout.num_trajectories
        with progress_bar(description, total, "trajectory", initial=done) as bar:
            bar.set_postfix_str("starting the engine")
            _run(_sample_problems(rollout, remaining, engine, chat, writer, _Progress(bar)))


def start_verifiers() -> VerifierPool:
    """The worker processes that judge answers."""
    return VerifierPool(_NUM_VERIFIERS, _VERIFIER_TIMEOUT_SECONDS)


async def _sample_problems(
    rollout: Rollout,
    problems: Sequence[Problem],
    engine_parameters: EngineParameters,
    chat: ChatFormat,
    writer: "_ShardWriter",
    progress: "_Progress",
) -> None:
    """Drives the engine over `problems` and writes them as they finish."""
    sampling = Sampling(rollout.temperature, rollout.top_p, rollout.max_new_tokens, chat.stop_ids)
    prompt_tokens = max(len(chat.prompt_ids(problem)) for problem in problems)
    context = longest_episode_tokens(prompt_tokens, chat, rollout.protocol.max_turns, rollout.max_new_tokens)
    # A continued rollout must not draw the same noise again, so the engine's seed depends on how far it has come.
    engine_seed = int(fingerprint({"seed": rollout.seed, "shards": writer.num_written}), 16)
    with start_verifiers() as verifiers:
        async with start_vllm(
            rollout.policy.path,
            engine_parameters,
            dtype=rollout.model.dtype,
            max_context_tokens=context,
            seed=engine_seed,
            trust_remote_code=rollout.model.trust_remote_code,
        ) as engine:
            conversation = Conversation(engine, chat, verifiers, sampling, rollout.protocol.max_turns)
            runs = run_problems(
                conversation, problems, rollout.num_trajectories, engine_parameters.max_sequences, progress.add
            )
            async with aclosing(runs):
                async for trajectories in runs:
                    writer.add(trajectories)
            writer.flush()


class _ShardWriter:
    """Collects whole problems and writes them together."""

    def __init__(self, directory: Path, problems_per_shard: int) -> None:
        self._directory = directory
        self._problems_per_shard = problems_per_shard
        self._waiting: list[list[Trajectory]] = []
        self.num_written = len(shard_files(directory))

    def add(self, trajectories: list[Trajectory]) -> None:
        self._waiting.append(trajectories)
        if len(self._waiting) == self._problems_per_shard:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        rows = [trajectory.to_row() for problem in self._waiting for trajectory in problem]
        write_shard(pa.Table.from_pylist(rows, schema=TRAJECTORY_SCHEMA), shard_path(self._directory, self.num_written))
        self.num_written += 1
        self._waiting.clear()


class _Progress:
    """What the progress bar says beside the count: share solved and response tokens a second."""

    def __init__(self, bar: "tqdm[Any]") -> None:
        self._bar = bar
        self._num_finished = self._num_solved = self._num_tokens = 0
        self._started: float | None = None

    def add(self, trajectory: Trajectory) -> None:
        self._started = self._started or time.monotonic()
        self._num_finished += 1
        self._num_solved += trajectory.success
        self._num_tokens += sum(turn.end - turn.start for turn in trajectory.turns)
        rate = self._num_tokens / max(time.monotonic() - self._started, 1.0)
        solved = self._num_solved / self._num_finished
        self._bar.set_postfix_str(f"{solved:.0%} solved, {rate:.0f} tokens/s", refresh=False)
        self._bar.update()


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Keeps other processes out of a working directory; the lock goes with the process, however it ends.

    Raises:
        UserError: when another process has it.
    """
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another run is sampling the same trajectories in {directory}: wait for it to end, or change the seed."
            ) from error
        yield


def _refuse_incomplete(rollout: Rollout, directory: Path) -> None:
    """Checks that the shards hold every trajectory of every problem exactly once, before they are declared finished."""
    rows = Shards(directory, {}).read(["problem_id", "trajectory_id"])
    found = sorted(zip(rows["problem_id"].to_pylist(), rows["trajectory_id"].to_pylist(), strict=True))
    ids = (problem.problem_id for problem in rollout.problems)
    if found != sorted((problem_id, index) for problem_id in ids for index in range(rollout.num_trajectories)):
        raise RuntimeError(
            f"The shards in {directory} do not hold every trajectory exactly once; delete the directory."
        )


def _finished_problem_ids(directory: Path) -> set[str]:
    return {
        problem_id
        for table in Shards(directory, {}).tables(["problem_id"])
        for problem_id in table["problem_id"].to_pylist()
    }


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end, also where a loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
    else:
        with ThreadPoolExecutor(1) as executor:
            executor.submit(asyncio.run, coroutine).result()
