"""The scheduler's own cost: an engine that answers at once, real verifiers, real shards, one core.

    python benchmarks/scheduler.py [TRAJECTORIES]

Each size runs in a process of its own, bound to one core: turns a second, and the most memory it ever held. The
trajectories of the largest size then go through the whole weighting pipeline. Written to `benchmarks/scheduler.json`.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.parameters import ModelParameters, ProtocolParameters, WeightingParameters
from drift.pipelines.weighting.nodes import draw_weights, shape_returns, summarize_weights, weigh_trajectories
from drift.problems.problem import Problem
from drift.protocol.chat import chat_format_of
from drift.rollout.display import Tally
from drift.rollout.engine import Completion, Sampling
from drift.rollout.reference import prepare_reference_model
from drift.rollout.sample import start_verifiers
from drift.rollout.scheduler import Conversation, run_problems
from drift.rollout.shard_writer import ShardWriter
from drift.shards import Shards, write_manifest

RESULT = Path(__file__).with_suffix(".json")
SIZES = (10_000, 100_000, 1_000_000)
N, MAX_TURNS, IN_FLIGHT, ROWS_PER_SHARD = 16, 5, 256, 8192
NUM_ANSWERS = 12


class InstantEngine:
    """Says one of a few sums at once: a twelfth of them is right."""

    max_in_flight = IN_FLIGHT

    def __init__(self, responses: list[list[int]]) -> None:
        self._responses = responses

    async def generate(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        """One of the responses."""
        return Completion(list(random.choice(self._responses)), stopped=True)

    async def take_weights(self, model_path: Path, version: str) -> bool:
        """See `Engine`."""
        return False


def problems(num_trajectories: int) -> Iterator[Problem]:
    """Sums, made when they are asked for."""
    for index in range(num_trajectories // N):
        yield Problem(f"p{index}", f"What is {index} + 1?", str(index % NUM_ANSWERS), "numeric", "arithmetic")


async def sample(model: Path, directory: Path, num_trajectories: int) -> dict[str, float]:
    """Scheduler, verifiers and shards; the engine costs nothing."""
    chat = chat_format_of(model, ProtocolParameters(max_turns=MAX_TURNS))
    said = (f"Adding the two numbers gives {value}." for value in range(NUM_ANSWERS))
    responses = [[*chat.tokenizer(text, add_special_tokens=False)["input_ids"], *chat.stop_ids] for text in said]
    writer = ShardWriter(directory, ROWS_PER_SHARD)
    num_turns = 0
    with start_verifiers() as verifiers:
        sampling = Sampling(1.0, 1.0, 24, chat.stop_ids)
        for value in range(NUM_ANSWERS):  # the workers have started when the clock does
            verifiers.submit("numeric", "0", str(value)).result()
        started = time.perf_counter()
        conversation = Conversation(InstantEngine(responses), chat, verifiers, sampling, MAX_TURNS)
        tally = Tally(num_trajectories // N, N, 0, [0] * MAX_TURNS, 0)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as writing:
            async with aclosing(run_problems(conversation, problems(num_trajectories), N, tally.add)) as runs:
                async for batch in runs:
                    num_turns += sum(trajectory.num_turns for problem in batch for trajectory in problem)
                    await loop.run_in_executor(writing, writer.add, batch)
        writer.finish()
        seconds = time.perf_counter() - started
    write_manifest(directory, {"protocol": {"max_turns": MAX_TURNS}})
    return {"turns": num_turns, "turns_per_second": round(num_turns / seconds), "seconds": round(seconds, 1)}


def weigh(directory: Path, outputs: Path) -> dict[str, float]:
    """The whole weighting pipeline, shard by shard, through its datasets."""
    weighting = WeightingParameters(prune_below=0.001)
    started = time.perf_counter()
    trajectories = Shards.open(directory)
    datasets = {name: ParquetShardsDataset(filepath=str(outputs / name)) for name in ("returns", "turns")}
    datasets["returns"].save(shape_returns(trajectories, weighting))
    returns = datasets["returns"].load()
    datasets["turns"].save(weigh_trajectories(trajectories, returns, weighting))
    turns = datasets["turns"].load()
    draw_weights(returns, turns, summarize_weights(returns, turns, weighting))
    return {"seconds": round(time.perf_counter() - started, 1), "trajectories": trajectories.num_rows()}


def run_part(part: str, model: str, directory: str, size: str) -> None:
    """One measurement, in a process of its own; prints its result."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the process this one was started from
    if part == "sample":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        result = asyncio.run(sample(Path(model), Path(directory), int(size)))
    else:
        result = weigh(Path(directory), Path(directory).parent / "weighted")
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    result["peak_memory_mib"] = round(int(peak.split()[1]) / 1024)
    print(json.dumps(result))


def measure(*arguments: object) -> dict[str, float]:
    """Runs one part in a fresh process."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    """Measures every size, then weighs the largest."""
    if len(sys.argv) == 5:
        run_part(*sys.argv[1:])
        return
    sizes = (int(sys.argv[1]),) if len(sys.argv) == 2 else SIZES
    result: dict[str, object] = {"command": "python benchmarks/scheduler.py", "in_flight": IN_FLIGHT, "n": N}
    with tempfile.TemporaryDirectory(dir=".") as root:
        model = prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), Path(root)).path
        directory = Path(root)
        for size in sizes:
            directory = Path(root) / str(size)
            directory.mkdir()
            result[f"{size} trajectories"] = measure("sample", model, directory, size)
            print(size, result[f"{size} trajectories"])
        result["weighting pipeline"] = measure("weigh", model, directory, sizes[-1])
    print(json.dumps(result, indent=2))
    if sizes == SIZES:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
