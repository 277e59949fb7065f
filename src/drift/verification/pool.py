"""The verifier pool: grades in worker processes that can be killed, because mathematics can hang.

One manager thread owns every worker and its pipe; other threads only append to a queue and wake it. Workers are
spawned, never forked: the parent runs the threads of torch and vLLM. As with everything that spawns, a script that
opens a pool needs `if __name__ == "__main__":`.
"""

import math
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

from drift.errors import UserError
from drift.problems.problem import VerifierName
from drift.verification import worker
from drift.verification.answers import MAX_RESPONSE_CHARACTERS
from drift.verification.cache import GradeCache, Key, cache_key
from drift.verification.grade import TIMEOUT, Grade
from drift.verification.memory import CHECK_SECONDS, LIMIT_BYTES, RECYCLE_BYTES
from drift.verification.verifiers import check_gold, grade
from drift.verification.worker_handle import Request, WorkerHandle

MAX_ATTEMPTS = 2
MAX_FAILED_STARTS = 5


class VerifierPool:
    """Grades responses in `num_workers` processes; use it as a context manager.

    A call that runs longer than `timeout_seconds`, or takes more memory than `memory.py` allows, has its worker killed
    and gives the verdict `timeout`; the time a worker takes to start is not counted. A worker that dies by itself is
    replaced and its call repeated once, then given up as `timeout`. Leaving the context kills the workers; calls
    still open then are cancelled.

    Args:
        num_workers: number of processes, at least 1; a core grades some hundred responses per second.
        timeout_seconds: how long one grade may take, > 0 and finite.
    """

    def __init__(self, num_workers: int, timeout_seconds: float) -> None:
        if num_workers < 1 or not 0 < timeout_seconds < math.inf:
            raise UserError(f"A verifier pool needs a worker and a timeout, not {num_workers} and {timeout_seconds} s.")
        self._num_workers = num_workers
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()  # guards _pending, _awake, _closed, _cache, _open and the counts
        self._pending: deque[Request] = deque()
        self._awake = False
        self._closed = False
        self._cache = GradeCache()
        self._open: dict[Key, Request] = {}
        self._num_graded = self._num_cached = 0
        self._failure: RuntimeError | None = None
        self._num_failed_starts = 0
        self._workers: list[WorkerHandle] = []
        self._bell, self._bell_rope = multiprocessing.Pipe(duplex=False)
        self._manager = threading.Thread(target=self._manage, name="verifier-pool", daemon=True)

    def __enter__(self) -> Self:
        """Starts the manager, which starts the workers; returns before they are ready."""
        self._manager.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the pool."""
        self.close()

    def close(self) -> None:
        """Kills the workers and cancels what is still open; calling it again does nothing."""
        with self._lock:
            self._closed = True
            self._wake()
        self._manager.join()

    def submit(self, verifier: VerifierName, gold: str, response: str) -> Future[Grade]:
        """Asks for a grade; returns at once, from any thread.

        The future is already finished when the grade is known from an equal question (`cache.py`). Equal questions
        that are open at the same time are graded once.

        Args:
            verifier: name of the verifier.
            gold: the gold answer.
            response: what the model wrote; only its last `MAX_RESPONSE_CHARACTERS` are sent.

        Returns:
            A future of the grade; `UserError` is set on it when the gold answer cannot be read.

        Raises:
            RuntimeError: when the pool is closed, or its workers cannot start.
        """
        key = cache_key(verifier, gold, response)
        with self._lock:
            self._refuse_if_closed()
            if known := self._cache.get(key):
                self._num_cached += 1
                return known
            if asked := self._open.get(key):
                self._num_cached += 1
                return asked.join()
            request = Request(grade, (verifier, gold, response[-MAX_RESPONSE_CHARACTERS:]), TIMEOUT, key)
            self._open[key] = request
            return self._enqueue(request)

    @property
    def num_graded(self) -> int:
        """Grades that were asked of workers, those that were given up included."""
        return self._num_graded

    @property
    def num_cached(self) -> int:
        """Grades that were known or asked for already, and needed no worker of their own."""
        return self._num_cached

    def check_golds(self, golds: Iterable[tuple[str, VerifierName]]) -> list[str | None]:
        """`check_gold` for many pairs (gold answer, verifier), in their order; waits for all of them."""
        futures = [
            self._submit(
                Request(
                    check_gold, pair, f"The gold answer {pair[0][:80]!r} takes too long to read, or too much memory."
                )
            )
            for pair in golds
        ]
        return [future.result() for future in futures]

    def _submit(self, request: Request) -> Future[Any]:
        with self._lock:
            self._refuse_if_closed()
            return self._enqueue(request)

    def _enqueue(self, request: Request) -> Future[Any]:
        """Puts a request behind the others; needs the lock."""
        future = request.join()
        self._pending.append(request)
        self._wake()
        return future

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise self._failure or RuntimeError("The verifier pool is closed.")

    def _wake(self) -> None:
        """Rings the bell once, whatever the number of submissions, so that the pipe never fills; needs the lock."""
        if not self._awake:
            self._awake = True
            self._bell_rope.send_bytes(b"!")

    def _manage(self) -> None:
        """The manager thread: hands out requests, takes results, buries the dead, the overdue and the grown."""
        next_check = 0.0
        try:
            while self._hire():
                self._hand_out()
                ready = wait([self._bell, *(hired.connection for hired in self._workers)], self._patience_seconds())
                if self._bell in ready:
                    self._hear_bell()
                for hired in list(self._workers):
                    if hired.connection in ready:
                        self._receive(hired)
                    elif hired.deadline <= time.monotonic():
                        self._dismiss(hired, retry=False)
                if next_check <= time.monotonic():
                    self._dismiss_grown()
                    next_check = time.monotonic() + CHECK_SECONDS
        finally:  # whatever broke the manager, no future may wait for ever
            self._shut_down()

    def _hear_bell(self) -> None:
        with self._lock:
            self._bell.recv_bytes()
            self._awake = False

    def _hire(self) -> bool:
        """Replaces missing workers; False when the pool is to end."""
        if self._num_failed_starts >= MAX_FAILED_STARTS:
            self._failure = RuntimeError("The verifier workers die while they start; their errors are printed above.")
        if self._closed or self._failure:
            return False
        while len(self._workers) < self._num_workers:
            self._workers.append(WorkerHandle(self._timeout_seconds))
        return True

    def _hand_out(self) -> None:
        idle = (hired for hired in self._workers if hired.ready and hired.request is None)
        for hired in idle:
            request = self._next_request()
            if request is None:
                return
            hired.assign(request, self._timeout_seconds)

    def _next_request(self) -> Request | None:
        """The oldest request that nobody cancelled."""
        while True:
            with self._lock:
                if not self._pending:
                    return None
                request = self._pending.popleft()
                if request.begin():
                    return request
                self._forget(request)

    def _patience_seconds(self) -> float | None:
        deadline = min(hired.deadline for hired in self._workers)
        return None if deadline == math.inf else min(CHECK_SECONDS, max(0.0, deadline - time.monotonic()))

    def _dismiss_grown(self) -> None:
        for hired in [hired for hired in self._workers if hired.request and hired.has_grown_by(LIMIT_BYTES)]:
            self._dismiss(hired, retry=False)

    def _receive(self, hired: WorkerHandle) -> None:
        """Takes what a worker sent: its readiness, a result, or the end of file that is its death."""
        try:
            message = hired.connection.recv()
        except (EOFError, OSError):
            self._num_failed_starts += not hired.ready
            self._dismiss(hired, retry=True)
            return
        if message == worker.OUT_OF_MEMORY:
            self._dismiss(hired, retry=False)
            return
        request, hired.request, hired.deadline = hired.request, None, math.inf
        if request is None:
            hired.welcome()
            self._num_failed_starts = 0
        else:
            self._conclude(request, message, remember=not isinstance(message, UserError))
        if hired.has_grown_by(RECYCLE_BYTES):
            self._dismiss(hired, retry=False)

    def _conclude(self, request: Request, outcome: Any, remember: bool) -> None:  # noqa: ANN401
        """Answers everyone who asked, and remembers the grade for those who will."""
        with self._lock:
            self._forget(request)
            if remember and request.cache_key:
                self._num_graded += 1
                self._cache.add(request.cache_key, outcome)
        request.answer(outcome)

    def _forget(self, request: Request) -> None:
        """Takes a request from those that others may join; needs the lock."""
        if request.cache_key:
            self._open.pop(request.cache_key, None)

    def _dismiss(self, hired: WorkerHandle, retry: bool) -> None:
        """Kills a worker (its successor is hired next) and decides on the request it had."""
        self._workers.remove(hired)
        hired.kill()
        request = hired.request
        if request is None:
            return
        if retry and request.num_attempts < MAX_ATTEMPTS:
            with self._lock:
                self._pending.appendleft(request)
        else:  # what took too long once would again, for every trajectory that says the same
            self._conclude(request, request.when_given_up, remember=not retry)

    def _shut_down(self) -> None:
        """Ends every worker and every open request; nothing is left waiting."""
        with self._lock:
            if not self._closed and self._failure is None:
                self._failure = RuntimeError("The verifier pool broke; its error is printed above.")
            self._closed = True
            self._awake = True  # nobody listens any more
            open_requests = [*self._pending, *(hired.request for hired in self._workers if hired.request)]
            self._pending.clear()
            self._open.clear()
        for hired in self._workers:
            hired.kill()
        self._workers.clear()
        for request in open_requests:
            if request.begin():
                request.answer(self._failure or CancelledError())
