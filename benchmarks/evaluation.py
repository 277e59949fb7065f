"""How much of an evaluation's wall time is not the engine's: many short problems through the pipeline's own nodes.

    python benchmarks/evaluation.py [PROBLEMS]

Sums of two addends, five turns, 24 new tokens, greedy, the bundled model. It is one policy's evaluation: the trained
policy has the same weights, so its conversations are found, not held again. The engine's time is its start and every
moment in which at least one response is awaited from it; all else is the program's: reading and checking the problems,
verdicts and writing while the engine stands still, labelling and saving the table, and the scores. Written to
`benchmarks/evaluation.json` when 5,000 problems are asked.
"""

import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.model_directory import ModelDirectory
from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RolloutParameters,
    Seed,
    WorkingDirectory,
)
from drift.pipelines.evaluation import nodes
from drift.pipelines.problem_frames import to_frame
from drift.rollout import sample
from drift.rollout.engine import Completion, Engine, Sampling
from drift.rollout.reference import prepare_reference_model

RESULT = Path(__file__).with_suffix(".json")
NUM_PROBLEMS = 5000
MODEL = ModelParameters(path="bundled:smollm2-135m-instruct")
PROTOCOL = ProtocolParameters()
EVALUATION = EvaluationParameters(max_new_tokens=24)
ROLLOUT = RolloutParameters(n=1, max_new_tokens=24)


@dataclass
class Clock:
    """Seconds the engine was starting, stopping, and working on at least one response."""

    starting: float = 0.0
    working: float = 0.0
    stopping: float = 0.0
    responses: int = 0
    _in_flight: int = 0
    _since: float = field(default=0.0)

    def begin(self) -> None:
        """A response is asked for."""
        if not self._in_flight:
            self._since = time.perf_counter()
        self._in_flight += 1

    def end(self) -> None:
        """A response is there."""
        self._in_flight -= 1
        self.responses += 1
        if not self._in_flight:
            self.working += time.perf_counter() - self._since


class TimedEngine:
    """An engine that tells a clock when it works."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self.max_in_flight = engine.max_in_flight

    async def generate(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        """See `Engine`."""
        self._clock.begin()
        try:
            return await self._engine.generate(token_ids, sampling, seed)
        finally:
            self._clock.end()


def timed(start_engine: Any, clock: Clock) -> Any:
    """`start_engine`, whose engines tell the clock."""

    @asynccontextmanager
    async def start(*arguments: Any) -> AsyncIterator[TimedEngine]:
        asked = time.perf_counter()
        async with start_engine(*arguments) as engine:
            clock.starting += time.perf_counter() - asked
            yield TimedEngine(engine, clock)
            done = time.perf_counter()
        clock.stopping += time.perf_counter() - done

    return start


def evaluate(num_problems: int, root: Path) -> dict[str, Any]:
    """One evaluation from the problems to the scores, timed."""
    sums = {"source": "arithmetic", "limit": num_problems, "largest_addend": 150}
    problems = ProblemsParameters.model_validate({"train": {**sums, "limit": 1}, "evaluation": sums})
    reference = prepare_reference_model(MODEL, root)
    note = {**reference.provenance, "reference_model": reference.provenance}
    clock, work = Clock(), WorkingDirectory(root)
    sample.start_engine = timed(sample.start_engine, clock)
    marks = [time.perf_counter()]

    frame = nodes.load_eval_problems(to_frame([]), problems, PROTOCOL, EVALUATION, MODEL, reference, Seed(0))
    marks.append(time.perf_counter())
    trained = ModelDirectory(reference.path, note)
    streams = nodes.evaluate_policies(frame, reference, trained, MODEL, PROTOCOL, ROLLOUT, EVALUATION, Seed(0), work)
    marks.append(time.perf_counter())
    tables = [ParquetShardsDataset(filepath=str(root / name)) for name in ("eval_trajectories", "eval_attempts")]
    for table, stream in zip(tables, streams, strict=True):
        table.save(stream)
    marks.append(time.perf_counter())
    conversations, attempts = (table.load() for table in tables)
    scores = nodes.score(conversations, attempts, frame, PROTOCOL, EVALUATION, Seed(0))
    marks.append(time.perf_counter())

    loading, evaluating, saving, scoring = (after - before for before, after in itertools.pairwise(marks))
    total = marks[-1] - marks[0]
    engine = clock.starting + clock.working + clock.stopping
    seconds = {
        "total": total,
        "engine: starting": clock.starting,
        "engine: working": clock.working,
        "engine: stopping": clock.stopping,
        "loading and checking problems": loading,
        "evaluating while the engine stands still": evaluating - engine,
        "saving": saving,
        "scoring": scoring,
    }
    return {
        "problems": num_problems,
        "responses": clock.responses,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "share not the engine's": round((total - engine) / total, 4),
        "share not the engine's, its start and stop left out": round(
            (total - engine) / (total - clock.starting - clock.stopping), 4
        ),
        "multi_at_k": scores["benchmarks"]["arithmetic"]["reference"]["multi_at_k"],
    }


def main() -> None:
    """Measures once."""
    num_problems = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_PROBLEMS
    with tempfile.TemporaryDirectory(dir=".") as root:
        result = evaluate(num_problems, Path(root))
    packages = {name: version(name) for name in ("torch", "transformers")}
    result = {"command": "python benchmarks/evaluation.py", "packages": packages, **result}
    print(json.dumps(result, indent=2))
    if num_problems == NUM_PROBLEMS:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
