"""A study and a refresh through `kedro run`: killed, continued, finished, asked for again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from drift.evaluation.outcomes import TRAINED
from drift.model_directory import ModelDirectory, ancestry
from drift.shards import Shards

pytestmark = pytest.mark.long

CELLS = [f"small.seed_0.{variant}" for variant in ("drift", "sft_5turn", "n_2")]


@pytest.fixture(scope="module")
def project(project_path: Path, reference_model: ModelDirectory) -> Path:
    """The project with an environment for the smallest study; its engine starts at once (vLLM has tests of its own)."""
    settings = yaml.safe_load((project_path / "conf/test/parameters.yml").read_text())
    settings["model"] = {"path": str(reference_model.path)}
    settings["rollout"]["engine"] = {"kind": "transformers", "max_sequences": 16}
    settings["study"] = {"name": "small", "seeds": [0], "chosen": ["drift", "sft_5turn"], "sweeps": {"n": [2]}}
    (project_path / "conf/small").mkdir()
    (project_path / "conf/small/parameters.yml").write_text(yaml.safe_dump(settings))
    return project_path


def begin(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--env", "small", *arguments],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "1000"},
    )


def run(project: Path, *arguments: str) -> str:
    process = begin(project, *arguments)
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    return said


def kill_once(project: Path, pipeline: str, wanted: str) -> None:
    """Begins a pipeline and kills it as soon as something of its data is there."""
    process = begin(project, f"--pipelines={pipeline}")
    deadline = time.monotonic() + 300
    while not any((project / "data").glob(wanted)) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, f"{pipeline} ended before it could be killed: {process.communicate()[0]}"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def finished(project: Path) -> str:
    """What the study said that was killed while it sampled, and again while it asked, and went on."""
    for begun in ("work/rollout/*", "work/evaluation/*"):
        kill_once(project, "study", begun)
    return run(project, "--pipelines=study")


def rollouts(project: Path) -> dict[str, float]:
    """The rollouts that were sampled, and when their last file was written."""
    shards = sorted((project / "data/work/rollout").glob("*/shard-*.parquet"))
    return {str(shard): shard.stat().st_mtime for shard in shards}


def test_a_killed_study_goes_on_where_it_was(project, finished):
    assert len({Path(shard).parent for shard in rollouts(project)}) == 1  # sampled once for all variants
    assert finished.count("This training is finished already") == len(CELLS)
    for cell in CELLS:
        result = json.loads((project / f"data/08_reporting/{cell}/cell.json").read_text())
        assert result["benchmarks"]["arithmetic"]["policies"].keys() == {"reference", TRAINED}
        log = pd.read_parquet(project / f"data/06_models/{cell}/training_log.parquet")
        assert len(log) == 2


def test_a_sweep_over_n_uses_the_first_trajectories_of_the_same_rollout(project, finished):
    sampled, part = (
        Shards.open(project / "data" / place)
        for place in ("02_intermediate/small.seed_0/trajectories", f"05_model_input/{CELLS[2]}/weighted_turns")
    )
    assert sampled.num_rows() == 16 and part.num_rows() == 8
    assert set(part.read(["trajectory_id"])["trajectory_id"].to_pylist()) == {0, 1}


def test_variants_are_compared_and_tabulated(project, finished):
    (place,) = (project / "data/08_reporting/study_results.json").glob("*/study_results.json")
    results = json.loads(place.read_text())
    assert list(results["policies"]) == ["reference", "drift", "sft_5turn", "n_2"]
    assert results["sweeps"] == {"n": [{"value": 2, "policy": "n_2"}, {"value": 4, "policy": "drift"}]}
    for variant in ("drift", "n_2"):
        cell = json.loads((project / f"data/08_reporting/small.seed_0.{variant}/cell.json").read_text())
        solved = cell["benchmarks"]["arithmetic"]["policies"][TRAINED]["solved_turn"]
        at_once = solved.count(1) / len(solved)
        assert results["policies"][variant]["benchmarks"]["arithmetic"]["multi_at_k"]["value"][0] == at_once
    (page,) = (project / "data/08_reporting/study_report").glob("*/study_report/report.html")
    assert "sft_5turn" in page.read_text()
    assert "multi@2" in finished


def test_a_finished_study_does_nothing_and_says_so(project, finished):
    before = rollouts(project)
    checkpoints = {path: path.stat().st_mtime for path in (project / "data/06_models").glob("small.*/checkpoint")}
    said = run(project, "--pipelines=study")
    assert "Study `small` is done: all 3 of its results are there, so nothing is sampled, trained or asked." in said
    assert "Running node: train_policy" not in said and "Running node: sample_trajectories" not in said
    assert before == rollouts(project)
    assert checkpoints == {path: path.stat().st_mtime for path in checkpoints}


def test_a_refresh_goes_on_from_what_each_round_has_left(project, finished):
    kill_once(project, "refresh", "06_models/refresh.round_1/checkpoint/drift.json")
    said = run(project, "--pipelines=refresh")
    assert said.count("This training is finished already") == 1  # that of the first round
    first, last = (
        ModelDirectory.open(project / f"data/06_models/refresh.round_{number}/checkpoint") for number in (1, 2)
    )
    assert [policy["fingerprint"] for policy in ancestry(last.provenance)][1] == first.fingerprint
    second = Shards.open(project / "data/02_intermediate/refresh.round_2/trajectories")
    assert second.provenance["model"] == first.fingerprint
    scores = json.loads((project / "data/08_reporting/refresh/multi_at_k.json").read_text())
    assert scores["made_from"]["policies"][TRAINED] == last.fingerprint
    assert "multi@2" in said
    assert "2, each sampled from the policy of the one before" in last.card
