"""SIGKILL at fifty random moments: the same data as if nothing had happened."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from drift.shards import Shards

pytestmark = pytest.mark.long

PROBLEMS, N, KILLS = 4000, 4, 50


@pytest.fixture(scope="module")
def killed(reference_model, tmp_path_factory) -> tuple[Path, list[list[int]]]:
    """The directory of the rollout, and after each process its exit status and the number of finished problems."""
    root = tmp_path_factory.mktemp("rollouts")
    script = Path(__file__).with_name("killed_rollout.py")
    arguments = [str(reference_model.path), str(root), str(PROBLEMS), str(N), str(KILLS), "0.05"]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (directory,) = root.iterdir()
    return directory, json.loads(done.stdout)


def test_every_process_but_the_last_was_killed_and_many_at_work(killed):
    _, history = killed
    statuses, counts = zip(*history, strict=True)
    assert statuses == (-signal.SIGKILL,) * KILLS + (0,)
    assert len(set(counts)) >= 10, "progress was made in many of them"


def test_every_trajectory_is_there_once(killed):
    directory, _ = killed
    keys = Shards.open(directory).read(["problem_id", "trajectory_id"]).to_pylist()
    expected = {(f"p{index}", number) for index in range(PROBLEMS) for number in range(N)}
    assert Counter((key["problem_id"], key["trajectory_id"]) for key in keys) == Counter(expected)


def test_shards_hold_whole_problems_within_their_bound_and_nothing_else_is_left(killed):
    directory, _ = killed
    seen: set[str] = set()
    tables = list(Shards.open(directory).tables(["problem_id"]))
    for table in tables:
        problems = set(table["problem_id"].to_pylist())
        assert table.num_rows == N * len(problems) <= 200
        assert not problems & seen
        seen |= problems
    assert all(table.num_rows == 200 for table in tables[:-1])
    left = {path.name for path in directory.iterdir()} - {path.name for path in directory.glob("shard-*.parquet")}
    assert left == {"lock", "manifest.json", "work.json", "costs.json"}
