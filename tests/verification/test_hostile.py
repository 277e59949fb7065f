"""Hostile input through the real pool: a verdict in time, memory bounded, no code run, and the pool alive after it."""

import sys
from pathlib import Path

import pytest

from drift.verification.memory import HEADROOM_BYTES, resident_bytes
from drift.verification.pool import VerifierPool

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from hostile import HOSTILE

TIMEOUT_SECONDS = 2.0
DEADLINE_SECONDS = 60.0  # a killed worker's successor starts, on a slow and busy machine


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(num_workers=2, timeout_seconds=TIMEOUT_SECONDS) as opened:
        for number in range(20):
            opened.submit("math", "29", f"{number}, then 29").result(timeout=60)
        yield opened


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_gets_a_verdict_in_time_and_harms_nobody(pool, name: str, tmp_path, monkeypatch) -> None:
    response = HOSTILE[name].replace("MARKER", str(tmp_path / "marker"))
    verdict = pool.submit("math", "29", response).result(timeout=DEADLINE_SECONDS).verdict
    assert verdict in ("wrong", "unparsable", "timeout")
    assert not (tmp_path / "marker").exists()
    assert pool.submit("math", "29", f"after {name}: 29").result(timeout=60).verdict == "correct"
    assert all(resident_bytes(hired.process.pid) < HEADROOM_BYTES for hired in list(pool._workers))


@pytest.mark.long
@pytest.mark.parametrize("verifier", ["numeric", "choice", "exact", "integer", "float", "list", "bool"])
def test_hostile_input_harms_no_other_verifier(pool, verifier: str) -> None:
    # 30, which some of them say in odd digits, is within 4 % of 29
    gold = {"choice": "B", "bool": "True", "list": "[29, 2.5]", "float": "77.5"}.get(verifier, "29")
    responses = [text for name, text in HOSTILE.items() if "tower" not in name and "factorial" not in name]
    verdicts = [pool.submit(verifier, gold, response) for response in responses]
    assert {future.result(timeout=120).verdict for future in verdicts} <= {"wrong", "unparsable", "timeout"}
