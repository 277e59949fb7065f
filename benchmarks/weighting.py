"""Stage 2 from parquet to parquet on synthetic trajectories, against a plain Python loop, and how much memory it takes.

    python benchmarks/weighting.py [--rows 10000000]

Prints trajectories per second and the peak resident memory, at a tenth of the rows and at all of them, of
`returns_and_weights` (returns, weights and spans; token ids are neither read nor written) and of `pipeline` (all four
nodes, with the token ids copied into the training examples). Each runs in a fresh process, on as many threads as
pyarrow and polars start by themselves; the processor time of a million rows is summed over them. The loop does what
`returns_and_weights` does, on one shard. Written to `benchmarks/weighting.json`. Takes about 0.4 GB of disk for a
million rows.

Shapes: _P problems of one shard, _M their trajectories, _F all turns of these, one after another.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.parameters import WeightingParameters
from drift.pipelines.weighting.nodes import draw_weights, shape_returns, summarize_weights, weigh_trajectories
from drift.protocol.trajectory import TRAJECTORY_SCHEMA, TURN_TYPE
from drift.shards import Shards, ShardStream, shard_path, write_manifest, write_shard
from drift.weighting import retention
from drift.weighting.returns import RETURN_INPUTS

RESULT = Path(__file__).with_suffix(".json")
WEIGHTING = WeightingParameters()
N, MAX_TURNS, PROBLEMS_PER_SHARD = 16, 5, 4096
PROMPT_TOKENS, RESPONSE_TOKENS, FEEDBACK_TOKENS, RESPONSE_CHARACTERS = 30, 10, 10, 14
WITHOUT_TOKENS = [column for column in retention.EXAMPLE_INPUTS if column != "token_ids"]


def synthetic_shard(seed: int, num_problems: int) -> pa.Table:
    """Trajectories of 1 to 5 turns whose answers often repeat and are missing from every tenth turn."""
    generator = np.random.default_rng(seed)
    id_P = pa.array([f"synthetic-{seed:04d}-{problem:04d}" for problem in range(num_problems)])
    problem_M = np.repeat(np.arange(num_problems), N)
    num_turns_M = generator.integers(1, MAX_TURNS + 1, problem_M.size, dtype=np.int32)
    success_M = generator.random(problem_M.size) < 0.5
    offsets = np.append(0, np.cumsum(num_turns_M)).astype(np.int32)
    trajectory_F = np.repeat(np.arange(problem_M.size), num_turns_M)
    turn_F = np.arange(trajectory_F.size) - offsets[trajectory_F]
    start_F = PROMPT_TOKENS + (RESPONSE_TOKENS + FEEDBACK_TOKENS) * turn_F.astype(np.int32)
    is_right_F = success_M[trajectory_F] & (turn_F + 1 == num_turns_M[trajectory_F])
    answer_F = generator.integers(0, 900, num_problems)[problem_M[trajectory_F]] + generator.integers(0, 6, turn_F.size)
    letters = generator.integers(ord("a"), ord("z") + 1, turn_F.size * RESPONSE_CHARACTERS, dtype=np.uint8)
    turns = {
        "response": flat_strings(letters),
        "start": start_F,
        "end": start_F + RESPONSE_TOKENS,
        "answer": pa.array(answer_F.astype(str), mask=generator.random(turn_F.size) < 0.1),
        "verdict": np.where(is_right_F, "correct", "wrong"),
        "stopped": np.ones(turn_F.size, dtype=bool),
    }
    token_offsets = np.append(0, np.cumsum(start_F[offsets[1:] - 1] + RESPONSE_TOKENS)).astype(np.int32)
    columns = {
        "problem_id": id_P.take(pa.array(problem_M)),
        "trajectory_id": np.tile(np.arange(N, dtype=np.int32), num_problems),
        "token_ids": pa.ListArray.from_arrays(
            token_offsets, generator.integers(0, 50_000, token_offsets[-1], dtype=np.int32)
        ),
        "turns": pa.ListArray.from_arrays(
            offsets,
            pa.StructArray.from_arrays([pa.array(turns[field.name]) for field in TURN_TYPE], fields=[*TURN_TYPE]),
        ),
        "success": success_M,
        "num_turns": num_turns_M,
    }
    return pa.table(columns, schema=TRAJECTORY_SCHEMA)


def flat_strings(letters: np.ndarray) -> pa.Array:
    """Strings of `RESPONSE_CHARACTERS` characters each, cut from one buffer."""
    offsets = np.arange(0, letters.size + 1, RESPONSE_CHARACTERS, dtype=np.int32)
    return pa.StringArray.from_buffers(offsets.size - 1, pa.py_buffer(offsets), pa.py_buffer(letters))


def make_trajectories(directory: Path, rows: int) -> None:
    """Writes the shards that are measured."""
    directory.mkdir()
    num_problems = rows // N
    for index, first in enumerate(range(0, num_problems, PROBLEMS_PER_SHARD)):
        table = synthetic_shard(index, min(PROBLEMS_PER_SHARD, num_problems - first))
        write_shard(table, shard_path(directory, index))
    write_manifest(directory, {})


def save(stream: ShardStream, directory: Path) -> Shards:
    """Writes a stream as the pipeline does."""
    dataset = ParquetShardsDataset(filepath=directory)
    dataset.save(stream)
    return dataset.load()


def returns_and_weights(trajectories: Shards, directory: Path) -> None:
    """Trajectories to returns to weights and spans; the list of token ids is empty in every row."""
    shaped_returns = save(shape_returns(trajectories, WEIGHTING), directory / "shaped_returns")
    pairs = zip(trajectories.tables(WITHOUT_TOKENS), shaped_returns.tables(), strict=True)
    tables = (retention.weigh_trajectories(with_no_tokens(table), returns, WEIGHTING) for table, returns in pairs)
    save(ShardStream(tables, {}), directory / "weights")


def with_no_tokens(trajectories: pa.Table) -> pa.Table:
    """Adds `token_ids` of length 0."""
    offsets = np.zeros(trajectories.num_rows + 1, dtype=np.int32)
    return trajectories.append_column("token_ids", pa.ListArray.from_arrays(offsets, pa.array([], pa.int32())))


def pipeline(trajectories: Shards, directory: Path) -> None:
    """All nodes of stage 2."""
    shaped_returns = save(shape_returns(trajectories, WEIGHTING), directory / "shaped_returns")
    weighted_turns = save(weigh_trajectories(trajectories, shaped_returns, WEIGHTING), directory / "weighted_turns")
    summary = summarize_weights(shaped_returns, weighted_turns, WEIGHTING)
    draw_weights(shaped_returns, weighted_turns, summary)


def plain_loop(trajectories: Shards, directory: Path) -> None:
    """The same as `returns_and_weights` with one Python object a value, on the first shard."""
    rows = next(trajectories.tables([*RETURN_INPUTS, *WITHOUT_TOKENS])).to_pylist()
    problems = defaultdict(list)
    for row in rows:
        distinct = len({turn["answer"] for turn in row["turns"] if turn["answer"] is not None})
        repeated = 1 - distinct / row["num_turns"]
        reward = WEIGHTING.gamma ** (row["num_turns"] - 1) * row["success"]
        row["shaped_return"] = reward - WEIGHTING.penalty * repeated
        row["targets"] = row.pop("turns")[-1:]
        row["token_ids"] = []
        problems[row["problem_id"]].append(row)
    for problem in problems.values():
        tilted = [math.exp(row["shaped_return"] / WEIGHTING.beta) for row in problem]
        mean = sum(tilted) / len(tilted)
        for row, value in zip(problem, tilted, strict=True):
            row["weight"] = value / mean
    table = pa.Table.from_pylist(rows, schema=retention.WEIGHTED_TURN_SCHEMA)
    write_shard(table, shard_path(directory, 0))


PARTS = {part.__name__: part for part in (returns_and_weights, pipeline, plain_loop)}


def measure(part: str, trajectories: Path) -> dict[str, float]:
    """Runs one part in this process."""
    shards = Shards.open(trajectories)
    rows = min(shards.num_rows(), PROBLEMS_PER_SHARD * N) if part == "plain_loop" else shards.num_rows()
    with tempfile.TemporaryDirectory(dir=trajectories.parent) as directory:
        started, cpu_started = time.perf_counter(), time.process_time()
        PARTS[part](shards, Path(directory))
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return {
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "cpu_seconds_per_million_rows": round(cpu_seconds / rows * 1e6, 2),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def in_new_process(*arguments: str) -> str:
    """Runs this program again, so that the peak memory is of one part alone."""
    return subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def compare(rows: int) -> None:
    """Makes the data, measures every part on it, and deletes it."""
    result = {"threads": {"pyarrow": pa.cpu_count(), "polars": pl.thread_pool_size()}, "streamed": []}
    for size in (rows // 10, rows):
        with tempfile.TemporaryDirectory() as directory:
            at = ["--trajectories", f"{directory}/trajectories"]
            in_new_process("--part", "make", "--rows", str(size), *at)
            for part in ("returns_and_weights", "pipeline"):
                measured = {"part": part, **json.loads(in_new_process("--part", part, *at))}
                print(json.dumps(measured), flush=True)
                result["streamed"].append(measured)
            loop = json.loads(in_new_process("--part", "plain_loop", *at))
    fastest = next(entry for entry in reversed(result["streamed"]) if entry["part"] == "returns_and_weights")
    result |= {"plain_loop": loop, "ratio": round(fastest["rows_per_second"] / loop["rows_per_second"], 1)}
    print(json.dumps({"plain_loop": loop, "ratio": result["ratio"]}))
    RESULT.write_text(
        json.dumps({"command": f"python benchmarks/weighting.py --rows {rows}", **result}, indent=2) + "\n"
    )


def main() -> None:
    """Measures everything, or is one of the processes that do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--part", choices=["make", *PARTS], help="only this part, in this process")
    parser.add_argument("--trajectories", type=Path, help="the directory of the data, for --part")
    options = parser.parse_args()
    if options.part is None:
        compare(options.rows)
    elif options.part == "make":
        make_trajectories(options.trajectories, options.rows)
    else:
        print(json.dumps(measure(options.part, options.trajectories)))


if __name__ == "__main__":
    main()
