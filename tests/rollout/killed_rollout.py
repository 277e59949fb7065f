"""A rollout with an engine that answers at once, killed and begun again as often as asked; see test_killed_rollout.py.

    python killed_rollout.py MODEL ROOT PROBLEMS N KILLS SECONDS

Every process is a fork of this one, which has imported everything: what is killed is the rollout, not its imports.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import drift.rollout.sample as sampling_module
from drift.model_directory import ModelDirectory
from drift.parameters import EngineParameters, ModelParameters, ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import chat_format_of
from drift.rollout import kept_engine
from drift.rollout.engine import Completion, Sampling
from drift.rollout.plan import Rollout
from drift.rollout.shard_writer import finished_problems
from drift.verification.verifiers import grade

RESPONSES: list[list[int]] = []


class InstantEngine:
    """Says a random number at once."""

    max_in_flight = 32

    async def generate(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        await asyncio.sleep(0)
        return Completion([*random.choice(RESPONSES), *sampling.stop_ids], stopped=True)


@asynccontextmanager
async def start_instant_engine(*_):
    yield InstantEngine()


class InstantVerifiers:
    """Grades in this process."""

    num_graded = num_cached = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, verifier, gold, response):
        verdict: Future = Future()
        verdict.set_result(grade(verifier, gold, response))
        return verdict


def run(rollout: Rollout, root: Path) -> None:
    random.seed(os.getpid())
    sampling_module.sample(rollout, EngineParameters(), 200, root, "sampling")


def wait_for_a_moment(root: Path, seconds: float) -> None:
    """Waits for a random time: one in five from the start of the process, the others from the first progress on."""
    if random.random() < 0.8:
        before = journal_bytes(root)
        deadline = time.monotonic() + 20
        while journal_bytes(root) == before and time.monotonic() < deadline:
            time.sleep(0.001)
    time.sleep(random.uniform(0, seconds))


def journal_bytes(root: Path) -> list[tuple[str, int]]:
    with suppress(FileNotFoundError):  # one that became a shard just now
        return [(path.name, path.stat().st_size) for path in root.glob("*/journal-*")]
    return []


def main() -> None:
    """Prints, for each process, its exit status and how many problems were finished when it had ended."""
    model, root, num_problems, num_trajectories, num_kills, seconds = sys.argv[1:]
    protocol = ProtocolParameters(max_turns=3)
    chat = chat_format_of(Path(model), protocol)
    kept_engine.start_engine, kept_engine.choose_engine = start_instant_engine, lambda *_: "transformers"
    sampling_module.start_verifiers = InstantVerifiers
    sampling_module.chat_format_of = lambda *_: chat
    RESPONSES.extend(chat.tokenizer(f"It is {value}.", add_special_tokens=False)["input_ids"] for value in range(9))
    problems = [
        Problem(f"p{index}", f"What is {index} + 1?", str(index % 9), "numeric", "s")
        for index in range(int(num_problems))
    ]
    policy = ModelDirectory(Path(model), {"fingerprint": "model"})
    rollout = Rollout(policy, ModelParameters(path=model), problems, protocol, int(num_trajectories), 1.0, 1.0, 16, 0)
    finished_before: set[str] = set()
    history = []
    for attempt in range(int(num_kills) + 1):
        process = os.fork()
        if not process:
            status = 1
            try:
                run(rollout, Path(root))
                status = 0
            finally:
                os._exit(status)
        if attempt < int(num_kills):
            wait_for_a_moment(Path(root), float(seconds))
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        finished = {path for directory in Path(root).iterdir() for path in finished_problems(directory).problem_ids}
        assert finished >= finished_before, "a finished problem was lost"
        finished_before = finished
        history.append([status, len(finished)])
    print(json.dumps(history))


if __name__ == "__main__":
    main()
