import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from drift.errors import UserError
from drift.verification import pool as pool_module
from drift.verification.pool import VerifierPool
from drift.verification.verifiers import Grade
from drift.verification.worker_handle import Request

CORRECT = Grade("correct", "29")
TIMEOUT = Grade("timeout", None)
HANGING = r"\boxed{9^{9^{9}}}"


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(num_workers=2, timeout_seconds=1.0) as opened:
        yield opened


def pids(pool: VerifierPool) -> list[int]:
    return [pid for hired in list(pool._workers) if (pid := hired.process.pid) is not None]


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 10.0) -> bool:
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


def test_five_hundred_grades_from_several_threads(pool) -> None:
    def ask(number: int) -> bool:
        outcome = pool.submit("math", str(number), f"It is {number + number % 2}.").result(timeout=60)
        return outcome == Grade("wrong" if number % 2 else "correct", str(number + number % 2))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(500)))


def test_a_future_can_be_awaited(pool) -> None:
    async def ask() -> list[Grade]:
        return await asyncio.gather(*(asyncio.wrap_future(pool.submit("math", "29", "29")) for _ in range(20)))

    assert asyncio.run(ask()) == [CORRECT] * 20


def test_submitting_does_not_wait_for_hostile_work(pool) -> None:
    with VerifierPool(num_workers=1, timeout_seconds=600) as patient:
        futures = [patient.submit("math", "29", response) for response in (HANGING, "x" * 10**6)]
        assert not any(future.done() for future in futures)
    futures = [pool.submit("math", "29", response) for response in (HANGING, "x" * 10**6)]
    assert [future.result(timeout=30).verdict for future in futures] == ["timeout", "unparsable"]


def test_a_hanging_grade_times_out_and_the_others_are_graded(pool) -> None:
    hanging = pool.submit("math", "29", HANGING)
    others = [pool.submit("math", "29", "14 + 15 = 29.") for _ in range(50)]
    assert [future.result(timeout=30) for future in others] == [CORRECT] * 50
    assert hanging.result(timeout=30) == TIMEOUT


def test_killing_workers_loses_nothing() -> None:
    with VerifierPool(num_workers=2, timeout_seconds=60) as pool:
        futures = [pool.submit("math", "29", rf"\boxed{{(x+{i})^{{9}}}}") for i in range(60)]
        futures[5].result(timeout=30)
        victims = pids(pool)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        assert [future.result(timeout=30).verdict for future in futures] == ["wrong"] * 60
        assert not any(is_alive(pid) for pid in victims)


def test_a_call_that_kills_its_worker_twice_is_given_up(pool) -> None:
    # SIGKILL stands for the out-of-memory killer: no exception, no last word
    suicide = Request(signal.raise_signal, (signal.SIGKILL,), TIMEOUT)
    assert pool._submit(suicide).result(timeout=30) == TIMEOUT
    assert suicide.num_attempts == 2
    assert pool.submit("math", "29", "29").result(timeout=30) == CORRECT


DIES_THE_FIRST_TIME = """
import os, signal
if not os.path.exists({marker!r}):
    open({marker!r}, "w").close()
    signal.raise_signal(signal.SIGKILL)
"""


def test_a_call_whose_worker_dies_once_is_repeated(pool, tmp_path) -> None:
    script = DIES_THE_FIRST_TIME.format(marker=str(tmp_path / "ran"))
    request = Request(exec, (script,), TIMEOUT)
    assert pool._submit(request).result(timeout=30) is None
    assert request.num_attempts == 2


def test_a_cancelled_request_is_not_graded(pool) -> None:
    busy = [pool._submit(Request(time.sleep, (0.5,), TIMEOUT)) for _ in range(2)]
    cancelled = pool.submit("math", "29", "a question that nobody asked before: 29")
    assert cancelled.cancel()
    assert pool.submit("math", "29", "29").result(timeout=30) == CORRECT
    assert [future.result(timeout=30) for future in busy] == [None] * 2


def test_an_unreadable_gold_answer_is_reported(pool) -> None:
    with pytest.raises(UserError, match="not one number"):
        pool.submit("numeric", "many", "3").result(timeout=30)


def test_gold_answers_are_checked_in_order_and_can_hang(pool) -> None:
    faults = pool.check_golds([("29", "math"), ("many", "numeric"), ("9^{9^9}", "math"), ("B", "choice")])
    assert [fault is None for fault in faults] == [True, False, False, True]
    assert "too long" in faults[2]


def test_leaving_the_pool_cancels_what_is_open_and_leaves_no_process() -> None:
    with VerifierPool(num_workers=1, timeout_seconds=30) as pool:
        pool.submit("math", "29", "29").result(timeout=30)
        hanging = [pool.submit("math", "29", HANGING) for _ in range(3)]
        assert wait_until(hanging[0].running)
        workers = pids(pool)
    for future in hanging:
        with pytest.raises(CancelledError):
            future.result(timeout=1)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit("math", "29", "29")
    pool.close()


def test_start_up_does_not_count_against_the_timeout() -> None:
    with VerifierPool(num_workers=1, timeout_seconds=0.25) as pool:
        assert pool.submit("math", "29", "29").result(timeout=30) == CORRECT


def test_workers_that_cannot_start_fail_every_request(monkeypatch) -> None:
    monkeypatch.setattr(pool_module.worker, "serve", os.kill)  # called with a pipe, it raises
    with VerifierPool(num_workers=1, timeout_seconds=1) as pool, pytest.raises(RuntimeError, match="while they start"):
        pool.submit("math", "29", "29").result(timeout=30)


@pytest.mark.parametrize(("num_workers", "timeout_seconds"), [(0, 1.0), (1, 0.0)])
def test_a_pool_without_workers_or_time_is_refused(num_workers: int, timeout_seconds: float) -> None:
    with pytest.raises(UserError, match="needs a worker"):
        VerifierPool(num_workers, timeout_seconds)


PARENT = """
import time
from drift.verification.pool import VerifierPool
if __name__ == "__main__":
    with VerifierPool(2, 1.0) as pool:
        while not (pool._workers and all(hired.ready for hired in pool._workers)):
            time.sleep(0.01)
        hanging = pool.submit("math", "29", r"{response}")
        while not hanging.running():
            time.sleep(0.001)
        print([hired.process.pid for hired in pool._workers], flush=True)
        time.sleep(600)
"""


@pytest.mark.long
def test_idle_and_hanging_workers_end_when_the_parent_is_killed(tmp_path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(response=HANGING))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in re.findall(r"\d+", parent.stdout.readline())]
        assert len(workers) == 2 and all(map(is_alive, workers))
        parent.kill()
    assert wait_until(lambda: not any(map(is_alive, workers)))
