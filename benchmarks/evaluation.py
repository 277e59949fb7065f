"""How much of an evaluation's wall time is not the engine's: the whole pipeline against a bare loop over its requests.

    python benchmarks/evaluation.py [PROBLEMS]

First `kedro run --pipelines=evaluation` in a fresh copy of the project, from loading the problems to the charts, the
report, the card and the page of conversations; for every response that is asked of the engine, its context and its
length are noted. Then, in a process of its own, the same engine with the same settings answers the same requests, as
many conversations at once, with lengths that are forced: nothing is parsed, judged or written, and a turn begins when
the one before has ended, so that the engine's cache holds as much. What the whole evaluation takes longer is the
program's, whether or not a response was in flight meanwhile.

Sums of two addends, five turns, 24 new tokens, greedy, the bundled model. The trained policy has the same weights, so
its conversations are found, not held again: one policy's responses pay for the results of two. Written to
`benchmarks/evaluation.json` when 5,000 problems are asked.
"""

import asyncio
import itertools
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from drift.machine.machine import machine
from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters
from drift.pipelines.problem_frames import to_frame
from drift.rollout import kept_engine
from drift.rollout.engine import Completion, Engine, Sampling
from drift.rollout.engines import start_engine
from drift.rollout.reference import prepare_reference_model
from drift.rollout.vllm_engine import VllmEngine
from drift.runs.code import package_versions

PROJECT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).with_suffix(".json")
NUM_PROBLEMS = 5000
MODEL = ModelParameters(path="bundled:smollm2-135m-instruct")


@dataclass(slots=True)
class Request:
    """One response that was asked for.

    Attributes:
        token_ids: the context.
        response: the tokens of the response; none until it is there.
    """

    token_ids: list[int]
    response: list[int] = field(default_factory=list)


@dataclass
class Recording:
    """What an evaluation asked of its engine.

    Attributes:
        arguments: of `start_engine`.
        requests: in the order in which they were asked.
        starting_seconds: from asking for the engine until it was there, and from giving it back until it was gone.
    """

    arguments: tuple[Any, ...] = ()
    requests: list[Request] = field(default_factory=list)
    starting_seconds: float = 0.0

    def start_engine(self, *arguments: Any) -> Any:
        """What `sample` calls: an engine whose requests are noted."""
        assert not self.requests, "one policy is asked, with one start of the engine"
        self.arguments, asked = arguments, time.perf_counter()
        return self._recorded(start_engine(*arguments), asked)

    @asynccontextmanager
    async def _recorded(self, starting: Any, asked: float) -> AsyncIterator["RecordedEngine"]:
        async with starting as engine:
            self.starting_seconds += time.perf_counter() - asked
            yield RecordedEngine(engine, self.requests)
            done = time.perf_counter()
        self.starting_seconds += time.perf_counter() - done


class RecordedEngine:
    """An engine whose requests are noted."""

    def __init__(self, engine: Engine, requests: list[Request]) -> None:
        self._engine, self._requests = engine, requests
        self.max_in_flight = engine.max_in_flight

    async def generate(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        """See `Engine`."""
        request = Request(list(token_ids))
        self._requests.append(request)
        completion = await self._engine.generate(token_ids, sampling, seed)
        request.response = completion.token_ids
        return completion

    async def take_weights(self, model_path: Path, version: str) -> bool:
        """See `Engine`."""
        return False


def evaluate(num_problems: int, project: Path) -> tuple[float, dict[str, float], Recording]:
    """The whole evaluation: its seconds, those of its nodes, and what it asked of the engine."""
    sums = {"source": "arithmetic", "largest_addend": 150}
    problems = {"train": sums, "evaluation": {**sums, "limit": num_problems}}
    parameters = {"problems": problems, "rollout": {"engine": {"kind": "vllm"}}}
    recording = Recording()
    vars(kept_engine)["start_engine"] = recording.start_engine
    with open_session(project, parameters) as session:
        begun = time.perf_counter()
        session.run(pipeline_names=["evaluation"])
        whole = time.perf_counter() - begun
    (record,) = (project / "data" / "08_reporting" / "runs").glob("*.json")
    nodes = {node["name"]: node["seconds"] for node in json.loads(record.read_text())["nodes"]}
    return whole, nodes, recording


def open_session(project: Path, parameters: dict[str, Any] | None = None) -> Any:
    """Kedro's session, of which every run needs one of its own."""
    bootstrap_project(project)
    return KedroSession.create(project_path=project, runtime_params=parameters)


def prepare(project: Path) -> None:
    """A copy of the project, with what the stages before the evaluation would have made.

    The checkpoint is the reference itself, after a training of no steps.
    """
    shutil.copytree(PROJECT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    (project / "conf" / "local").mkdir()
    (project / "src").mkdir()
    (project / "src" / "drift").symlink_to(PROJECT / "src" / "drift")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(PROJECT / name, project)
    reference = prepare_reference_model(MODEL, project / "work")
    note = {**reference.provenance, "reference_model": reference.provenance}
    with open_session(project) as session:
        catalog = session.load_context().catalog
        catalog.save("train_problems", to_frame([]))
        catalog.save("reference_model", reference)
        catalog.save("checkpoint", ModelDirectory(reference.path, note))
        catalog.save("training_log", pd.DataFrame({"num_tokens": [], "tokens_per_second": []}))


def in_a_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process that has imported nothing yet, as each of the two that are compared is."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(function, *arguments).result()


def conversations(requests: Sequence[Request]) -> list[list[Request]]:
    """The requests of each conversation, whose contexts begin with the context and the response of the one before."""
    found: list[list[Request]] = []
    open_at: dict[tuple[int, ...], list[Request]] = {}
    for request in requests:
        ids = tuple(request.token_ids)
        before = next((open_at.pop(ids[:end]) for end in range(len(ids) - 1, 0, -1) if ids[:end] in open_at), None)
        if before is None:
            found.append(before := [])
        before.append(request)
        open_at[*ids, *request.response] = before
    return found


def replay(arguments: tuple[Any, ...], asked: list[list[Request]]) -> tuple[float, float]:
    """Seconds that the engine takes to start and stop, and to hold the conversations."""
    return asyncio.run(_replay(arguments, asked))


async def _replay(arguments: tuple[Any, ...], asked: list[list[Request]]) -> tuple[float, float]:
    started = time.perf_counter()
    async with start_engine(*arguments) as engine:
        assert isinstance(engine, VllmEngine)
        begun = time.perf_counter()
        await bare_loop(engine, asked)
        answered = time.perf_counter()
    return begun - started + time.perf_counter() - answered, answered - begun


async def bare_loop(engine: VllmEngine, asked: list[list[Request]]) -> None:
    """As many conversations at once as an evaluation keeps in flight, each response as long as it was."""
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    waiting, numbers = iter(asked), itertools.count()

    async def hold_one_after_another() -> None:
        for request in itertools.chain.from_iterable(waiting):
            parameters = SamplingParams(
                temperature=0.0,
                max_tokens=len(request.response),
                ignore_eos=True,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            prompt = TokensPrompt(prompt_token_ids=request.token_ids)
            async for _ in engine._llm.generate(prompt, parameters, str(next(numbers))):
                pass

    await asyncio.gather(*(hold_one_after_another() for _ in range(engine.max_in_flight)))


def compare(num_problems: int, project: Path) -> dict[str, Any]:
    """One whole evaluation, and the bare loop over its requests."""
    in_a_fresh_process(prepare, project)
    whole, nodes, recording = evaluate(num_problems, project)
    print(f"evaluated in {whole:.0f} s, now the bare engine", flush=True)
    asked = conversations(recording.requests)
    bare_starting, bare = in_a_fresh_process(replay, recording.arguments, asked)
    starting = recording.starting_seconds
    seconds = {
        "whole evaluation": whole,
        "of it starting and stopping the engine": starting,
        "bare engine: starting and stopping": bare_starting,
        "bare engine: the same conversations": bare,
        "nodes": nodes,
    }
    return {
        "problems": num_problems,
        "conversations": len(asked),
        "responses": len(recording.requests),
        "response tokens": sum(len(request.response) for request in recording.requests),
        "seconds": rounded(seconds),
        "share not the engine's": round((whole - bare_starting - bare) / whole, 4),
        "share not the engine's, its start and stop left out": round((whole - starting - bare) / (whole - starting), 4),
    }


def rounded(seconds: dict[str, Any]) -> dict[str, Any]:
    """To hundredths."""
    return {name: rounded(value) if isinstance(value, dict) else round(value, 2) for name, value in seconds.items()}


def main() -> None:
    """Measures once."""
    num_problems = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_PROBLEMS
    with tempfile.TemporaryDirectory() as project:
        result = compare(num_problems, Path(project))
    facts = {"command": " ".join(["python", *sys.argv]), "machine": machine(), "packages": package_versions()}
    print(json.dumps({**facts, **result}, indent=2))
    if num_problems == NUM_PROBLEMS:
        RESULT.write_text(json.dumps({**facts, **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
