"""Killed at random moments, a training ends with the same weights to the bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

KILLS = 20


@pytest.fixture(
    scope="module",
    params=[signal.SIGKILL, signal.SIGTERM],
    ids=["SIGKILL", "SIGTERM"],
)
def outcome(request, tiny_reference, tiny_turns, tmp_path_factory) -> dict:
    root = tmp_path_factory.mktemp("killed")
    kills = KILLS if request.param == signal.SIGKILL else 5
    program = Path(__file__).with_name("killed_training.py")
    paths = [str(path) for path in (root, tiny_turns.path, tiny_reference.path)]
    finished = subprocess.run(
        [sys.executable, str(program), *paths, str(kills), str(int(request.param))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert finished.returncode == 0, finished.stderr + "".join(log.read_text() for log in root.glob("*.log"))
    return json.loads(finished.stdout) | {"kills": kills}


def test_weights_and_log_are_those_of_the_undisturbed_training(outcome):
    assert set(outcome["results"]) == {outcome["undisturbed"]}
    assert len(json.loads(outcome["undisturbed"])[1]) == 45


def test_the_kills_hit_trainings_that_were_going_on(outcome):
    assert len(outcome["steps"]) == outcome["kills"]
    assert sum(0 < step < 45 for step in outcome["steps"]) > outcome["kills"] // 4


def test_states_are_gone_when_the_training_is_finished(outcome):
    assert outcome["left"] == ["lock", "result", "work.json"]
