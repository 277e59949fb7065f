"""The parent's side of a worker process: the call it has, its deadline, what it holds, and its end."""

import math
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from drift.verification import worker
from drift.verification.cache import Key
from drift.verification.memory import resident_bytes

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(eq=False)
class Request:
    """One call: what to run, what to answer when it has to be given up, and everyone who waits for the answer."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    when_given_up: Any
    cache_key: Key | None = None
    callers: list[Future[Any]] = field(default_factory=list)
    num_attempts: int = 0

    def join(self) -> Future[Any]:
        """A future of the answer, for one more caller."""
        future: Future[Any] = Future()
        if self.num_attempts:
            future.set_running_or_notify_cancel()
        self.callers.append(future)
        return future

    def begin(self) -> bool:
        """Leaves out who has cancelled; False when nobody is left, so that it need not be run."""
        if not self.num_attempts:
            self.callers = [caller for caller in self.callers if caller.set_running_or_notify_cancel()]
        return bool(self.callers)

    def answer(self, outcome: Any) -> None:  # noqa: ANN401
        """Gives everyone the outcome; an exception is raised where it is asked for."""
        for caller in self.callers:
            if isinstance(outcome, BaseException):
                caller.set_exception(outcome)
            else:
                caller.set_result(outcome)


class WorkerHandle:
    """The parent's view of one worker process."""

    def __init__(self, timeout_seconds: float) -> None:
        self.connection, remote = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=worker.serve, args=(remote, timeout_seconds), daemon=True)
        self.process.start()
        remote.close()  # the worker's copy must be the last one, or its death would not be seen
        self.ready = False
        self.request: Request | None = None
        self.deadline = math.inf
        self.bytes_at_start = 0

    def welcome(self) -> None:
        """Notes that the worker is ready, and what it holds before its first call."""
        self.ready, self.bytes_at_start = True, resident_bytes(self.process.pid)

    def has_grown_by(self, num_bytes: int) -> bool:
        """Whether it holds this much more than before its first call."""
        return resident_bytes(self.process.pid) > self.bytes_at_start + num_bytes

    def assign(self, request: Request, timeout_seconds: float) -> None:
        """Sends it a call, whose time starts now."""
        request.num_attempts += 1
        self.request, self.deadline = request, time.monotonic() + timeout_seconds
        with suppress(OSError):  # it died while idle: the end of file that follows is handled as any death
            self.connection.send((request.function, request.arguments))

    def kill(self) -> None:
        """Ends the process and frees what belongs to it."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.connection.close()
