"""How threads wait: what this process and the engine's are told, and that the user's word counts."""

import os
import subprocess
import sys

import pytest

from drift.machine import threads
from drift.machine.threads import LONG_SPIN, PASSIVE, SHORT_SPIN, choose_how_to_wait, waiting_of_engine


@pytest.mark.parametrize(
    ("is_busy", "of_process", "of_engine"),
    [
        (True, PASSIVE, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": None}),
        (False, SHORT_SPIN, {"OMP_WAIT_POLICY": None, **LONG_SPIN}),
    ],
)
def test_threads_sleep_beside_others_and_spin_alone(monkeypatch, is_busy, of_process, of_engine):
    monkeypatch.setattr(threads, "machine_is_busy", lambda: is_busy)
    environment: dict[str, str] = {}
    choose_how_to_wait(environment)
    assert of_process.items() <= environment.items()
    assert waiting_of_engine(environment) == of_engine


@pytest.mark.parametrize("own", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "100"}, {"KMP_BLOCKTIME": "0"}])
def test_the_users_own_setting_stays(own):
    environment = dict(own)
    choose_how_to_wait(environment)
    assert environment == own
    assert waiting_of_engine(environment) == {}


def test_it_is_said_before_torch_is_loaded():
    asked = "*map(os.environ.get, ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')), 'torch' in sys.modules"
    program = f"import sys, os, drift; print({asked})"
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "DRIFT_CHOSE_HOW_TO_WAIT")
    without = {name: value for name, value in os.environ.items() if name not in names}
    said = subprocess.run([sys.executable, "-c", program], env=without, capture_output=True, text=True, check=True)
    policy, spin, torch = said.stdout.split()
    assert (policy, spin) in (("PASSIVE", "None"), ("None", "2000")) and torch == "False"


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not say")
def test_a_machine_whose_cores_are_taken_is_busy():
    cores = os.cpu_count() or 1
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        subprocess.run(["sleep", "0.3"], check=True)
        assert threads.machine_is_busy()
    finally:
        for process in busy:
            process.kill()
            process.wait()
