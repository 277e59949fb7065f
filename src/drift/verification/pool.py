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
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

from drift.errors import UserError
from drift.problems.problem import VerifierName
from drift.verification import worker
from drift.verification.answers import MAX_RESPONSE_CHARACTERS
from drift.verification.verifiers import TIMEOUT, Grade, check_gold, grade

MAX_ATTEMPTS = 2
MAX_FAILED_STARTS = 5

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(eq=False)
class _Request:
    """One call: what to run, what to answer when it has to be given up, and where the answer goes."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    when_given_up: Any
    future: Future[Any] = field(default_factory=Future)
    num_attempts: int = 0


class _Worker:
    """The parent's view of one worker process."""

    def __init__(self, timeout_seconds: float) -> None:
        self.connection, remote = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=worker.serve, args=(remote, timeout_seconds), daemon=True)
        self.process.start()
        remote.close()  # the worker's copy must be the last one, or its death would not be seen
        self.ready = False
        self.request: _Request | None = None
        self.deadline = math.inf

    def assign(self, request: _Request, timeout_seconds: float) -> None:
        request.num_attempts += 1
        self.request, self.deadline = request, time.monotonic() + timeout_seconds
        with suppress(OSError):  # it died while idle: the end of file that follows is handled as any death
            self.connection.send((request.function, request.arguments))

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self.connection.close()


class VerifierPool:
    """Grades responses in `num_workers` processes; use it as a context manager.

    A call that runs longer than `timeout_seconds` has its worker killed and gives the verdict `timeout`; the time a
    worker takes to start is not counted. A worker that dies by itself is replaced and its call repeated once, then
    given up as `timeout`. Leaving the context kills the workers; calls still open then are cancelled.

    Args:
        num_workers: number of processes, at least 1; a core grades some hundred responses per second.
        timeout_seconds: how long one grade may take, > 0 and finite.
    """

    def __init__(self, num_workers: int, timeout_seconds: float) -> None:
        if num_workers < 1 or not 0 < timeout_seconds < math.inf:
            raise UserError(f"A verifier pool needs a worker and a timeout, not {num_workers} and {timeout_seconds} s.")
        self._num_workers = num_workers
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()  # guards _pending, _awake and _closed
        self._pending: deque[_Request] = deque()
        self._awake = False
        self._closed = False
        self._failure: RuntimeError | None = None
        self._num_failed_starts = 0
        self._workers: list[_Worker] = []
        self._bell, self._bell_rope = _SPAWN.Pipe(duplex=False)
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

        Args:
            verifier: name of the verifier.
            gold: the gold answer.
            response: what the model wrote; only its last `MAX_RESPONSE_CHARACTERS` are sent.

        Returns:
            A future of the grade; `UserError` is set on it when the gold answer cannot be read.

        Raises:
            RuntimeError: when the pool is closed, or its workers cannot start.
        """
        return self._submit(_Request(grade, (verifier, gold, response[-MAX_RESPONSE_CHARACTERS:]), TIMEOUT))

    def check_golds(self, golds: Iterable[tuple[str, VerifierName]]) -> list[str | None]:
        """`check_gold` for many pairs (gold answer, verifier), in their order; waits for all of them."""
        futures = [
            self._submit(_Request(check_gold, pair, f"The gold answer {pair[0][:80]!r} takes too long to read."))
            for pair in golds
        ]
        return [future.result() for future in futures]

    def _submit(self, request: _Request) -> Future[Any]:
        with self._lock:
            if self._closed:
                raise self._failure or RuntimeError("The verifier pool is closed.")
            self._pending.append(request)
            self._wake()
        return request.future

    def _wake(self) -> None:
        """Rings the bell once, whatever the number of submissions, so that the pipe never fills; needs the lock."""
        if not self._awake:
            self._awake = True
            self._bell_rope.send_bytes(b"!")

    def _manage(self) -> None:
        """The manager thread: hands out requests, takes results, buries the dead and the overdue."""
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
            self._workers.append(_Worker(self._timeout_seconds))
        return True

    def _hand_out(self) -> None:
        idle = (hired for hired in self._workers if hired.ready and hired.request is None)
        for hired in idle:
            request = self._next_request()
            if request is None:
                return
            hired.assign(request, self._timeout_seconds)

    def _next_request(self) -> _Request | None:
        """The oldest request that nobody cancelled."""
        while True:
            with self._lock:
                if not self._pending:
                    return None
                request = self._pending.popleft()
            if request.num_attempts or request.future.set_running_or_notify_cancel():
                return request

    def _patience_seconds(self) -> float | None:
        deadline = min(hired.deadline for hired in self._workers)
        return None if deadline == math.inf else max(0.0, deadline - time.monotonic())

    def _receive(self, hired: _Worker) -> None:
        """Takes what a worker sent: its readiness, a result, or the end of file that is its death."""
        try:
            message = hired.connection.recv()
        except (EOFError, OSError):
            self._num_failed_starts += not hired.ready
            self._dismiss(hired, retry=True)
            return
        request, hired.request, hired.deadline = hired.request, None, math.inf
        if request is None:
            hired.ready, self._num_failed_starts = True, 0
        elif isinstance(message, UserError):
            request.future.set_exception(message)
        else:
            request.future.set_result(message)

    def _dismiss(self, hired: _Worker, retry: bool) -> None:
        """Kills a worker (its successor is hired next) and decides on the request it had."""
        self._workers.remove(hired)
        hired.kill()
        request = hired.request
        if request is None:
            return
        if retry and request.num_attempts < MAX_ATTEMPTS:
            with self._lock:
                self._pending.appendleft(request)
        else:
            request.future.set_result(request.when_given_up)

    def _shut_down(self) -> None:
        """Ends every worker and every open request; nothing is left waiting."""
        with self._lock:
            if not self._closed and self._failure is None:
                self._failure = RuntimeError("The verifier pool broke; its error is printed above.")
            self._closed = True
            self._awake = True  # nobody listens any more
            open_requests = [*self._pending, *(hired.request for hired in self._workers if hired.request)]
            self._pending.clear()
        for hired in self._workers:
            hired.kill()
        self._workers.clear()
        for request in open_requests:
            if request.num_attempts or request.future.set_running_or_notify_cancel():
                request.future.set_exception(self._failure or CancelledError())
