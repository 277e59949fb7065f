"""Ctrl-C and a dead engine, with the real engine: one sentence each, nothing lost, nothing left running."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from drift.rollout.shard_writer import finished_problems
from drift.shards import Shards

pytestmark = pytest.mark.long

PROBLEMS, N = 24, 4


class Interrupted:
    """A rollout that is begun, disturbed and begun again."""

    def __init__(self, project: Path, model: Path) -> None:
        self.project = project
        parameters = f"model.path={model},problems.train.limit={PROBLEMS},rollout.n={N},rollout.rows_per_shard=40"
        parameters += ",rollout.engine.kind=vllm,rollout.temperature=0.8"
        command = [sys.executable, "-m", "kedro", "run", "--env", "test", "--pipelines=rollout"]
        self.command = [*command, "--params", parameters]

    def begin(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command,
            cwd=self.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "1000"},
        )

    def finished(self) -> set[str]:
        directories = (self.project / "data/work/rollout").glob("*/")
        return {name for directory in directories for name in finished_problems(directory).problem_ids}

    def wait_for_progress(self, process: "subprocess.Popen[str]") -> None:
        """Until another problem is finished."""
        before = self.finished()
        deadline = time.monotonic() + 240
        while self.finished() == before and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "the run ended before it could be disturbed"


def left_behind(session: int) -> dict[int, str]:
    """What of a session lives on; who is on his way out is given the time to leave."""
    deadline = time.monotonic() + 30
    while (left := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def processes_of(session: int) -> dict[int, str]:
    """The living processes of a session and their names."""
    listed = subprocess.run(["ps", "-eo", "sid,pid,stat,args"], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=3) for line in listed.splitlines()[1:])
    return {int(pid): args for sid, pid, stat, args in rows if int(sid) == session and not stat.startswith("Z")}


@pytest.fixture(scope="module")
def rollout(project_path, reference_model) -> Interrupted:
    return Interrupted(project_path, reference_model.path)


@pytest.fixture(scope="module")
def stopped(rollout: Interrupted) -> tuple[str, int, set[str]]:
    """What a run said that was stopped with Ctrl-C (which reaches all of a terminal), its status, its work."""
    process = rollout.begin()
    rollout.wait_for_progress(process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert left_behind(process.pid) == {}
    return said, process.returncode, rollout.finished()


@pytest.fixture(scope="module")
def engine_killed(rollout: Interrupted, stopped) -> tuple[str, int, set[str]]:
    """What the next run said, whose engine process was killed."""
    process = rollout.begin()
    rollout.wait_for_progress(process)
    engines = [pid for pid, name in processes_of(process.pid).items() if "VLLM::EngineCore" in name]
    assert len(engines) == 1
    os.kill(engines[0], signal.SIGKILL)
    said, _ = process.communicate(timeout=60)
    assert left_behind(process.pid) == {}
    return said, process.returncode, rollout.finished()


@pytest.fixture(scope="module")
def completed(rollout: Interrupted, engine_killed) -> str:
    """What the last run said, which nobody disturbed; another engine may go on with the same rollout."""
    rollout.command[-1] += ",rollout.engine.kind=transformers"
    process = rollout.begin()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def test_ctrl_c_ends_with_a_sentence_that_says_what_is_kept(stopped):
    said, status, finished = stopped
    assert status != 0
    assert f"Interrupted: {len(finished)} of {PROBLEMS} problems are finished and kept in" in said
    assert "Traceback" not in said


def test_a_dead_engine_is_one_sentence(engine_killed):
    said, status, _ = engine_killed
    assert status == 1
    assert len(re.findall(r"^Error: vLLM's engine process died .* run the same command again", said, re.MULTILINE)) == 1
    assert "Traceback" not in said


def test_every_run_has_a_record_of_how_it_ended(rollout, completed, engine_killed):
    runs = sorted((rollout.project / "data/08_reporting/runs").glob("*.json"))
    interrupted, failed, succeeded = (json.loads(path.read_text()) for path in runs[:3])
    assert (interrupted["outcome"], interrupted["error"]) == ("interrupted", None)
    assert failed["outcome"] == "failed" and f"Error: {failed['error']}" in engine_killed[0]
    assert succeeded["outcome"] == "succeeded"
    ended_by = [{node["name"]: node["status"] for node in record["nodes"]} for record in (interrupted, failed)]
    assert [statuses["sample_trajectories_node"] for statuses in ended_by] == ["interrupted", "failed"]


def test_every_run_goes_on_where_the_last_one_stopped(stopped, engine_killed, completed):
    assert set() < stopped[2] < engine_killed[2]
    assert f"Sampling: {len(stopped[2])} of {PROBLEMS} problems are there already" in engine_killed[0]
    assert f"Sampling: {len(engine_killed[2])} of {PROBLEMS} problems are there already" in completed


def test_another_engine_goes_on_with_the_same_rollout(stopped, completed):
    assert "Engine: vLLM" in stopped[0]
    assert "Engine: plain transformers, because rollout.engine.kind says so" in completed


def test_every_trajectory_is_there_once(rollout, completed):
    (version,) = (rollout.project / "data/02_intermediate/trajectories").iterdir()
    keys = Shards.open(version / "trajectories").read(["problem_id", "trajectory_id"]).to_pylist()
    assert len(keys) == PROBLEMS * N
    assert max(Counter((key["problem_id"], key["trajectory_id"]) for key in keys).values()) == 1


def test_the_run_ends_with_what_it_sampled_and_what_it_cost(completed):
    for row in ("solved", "problems", "distinct answers", "verdicts", "prefix cache", "time"):
        assert re.search(rf"^{row} ", completed, re.MULTILINE), row


def test_a_changed_parameter_starts_afresh_and_says_so(rollout, completed):
    rollout.command[-1] += ",rollout.temperature=0.7"
    process = rollout.begin()
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if "starts afresh" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "Sampling starts afresh, since this changed: temperature (0.8 → 0.7)" in said
