import subprocess
import sys

import pytest

from drift.verification import pool as pool_module
from drift.verification.grade import TIMEOUT, Grade
from drift.verification.memory import resident_bytes
from drift.verification.pool import VerifierPool
from drift.verification.worker_handle import Request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the memory of workers is limited on Linux only")

CORRECT = Grade("correct", "29")
GROWS = "block = []\nwhile True: block.append(bytearray(2**22))"
TAKES_TOO_MUCH_AT_ONCE = "bytearray(64 * 2**30)"
# sympy and its like keep what they computed; this stands for such a cache
KEEPS = "import builtins\nbuiltins.kept = bytes(48 * 2**20).replace(b'\\0', b'x')"


@pytest.fixture
def pool():
    with VerifierPool(num_workers=2, timeout_seconds=3600) as opened:  # time takes nobody away here, only memory
        opened.submit("math", "29", "29").result(timeout=60)
        yield opened


def pids(pool: VerifierPool) -> set[int]:
    return {pid for hired in list(pool._workers) if (pid := hired.process.pid) is not None}


@pytest.mark.parametrize("code", [GROWS, TAKES_TOO_MUCH_AT_ONCE], ids=["grows", "at once"])
def test_a_call_that_takes_too_much_memory_is_lost_and_no_other(pool, code: str) -> None:
    greedy = Request(exec, (code, {}), TIMEOUT)
    future = pool._submit(greedy)
    others = [pool.submit("math", "29", f"not {number}, but 29") for number in range(40)]
    assert [other.result(timeout=60) for other in others] == [CORRECT] * 40
    assert future.result(timeout=300) == TIMEOUT
    assert greedy.num_attempts == 1
    assert pool.submit("math", "29", "alive: 29").result(timeout=60) == CORRECT


def test_a_worker_that_has_grown_is_replaced_after_its_answer(monkeypatch) -> None:
    monkeypatch.setattr(pool_module, "RECYCLE_BYTES", 32 * 2**20)
    with VerifierPool(num_workers=1, timeout_seconds=30) as pool:
        pool.submit("math", "29", "29").result(timeout=60)
        before = pids(pool)
        assert pool._submit(Request(exec, (KEEPS, {}), TIMEOUT)).result(timeout=60) is None
        assert pool.submit("math", "29", "alive: 29").result(timeout=60) == CORRECT
        assert not before & pids(pool)


def test_what_a_process_holds_is_told_and_nothing_of_one_that_is_gone() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert resident_bytes(done.pid) == 0 and resident_bytes(None) == 0


def test_an_allocation_beyond_the_headroom_is_refused() -> None:
    code = "from drift.verification.memory import limit_address_space; limit_address_space(); bytearray(8 * 2**30)"
    refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert refused.returncode == 1 and "MemoryError" in refused.stderr
