"""A worker process: runs the calls that come through its pipe, one at a time, until the pipe closes."""

import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

from drift.errors import UserError
from drift.verification.memory import limit_address_space
from drift.verification.verifiers import grade

# The parent kills an overdue worker. One that has lost its parent ends itself this much later.
ORPHAN_GRACE_SECONDS = 2

READY = "ready"
OUT_OF_MEMORY = "out of memory"


def serve(connection: Connection, timeout_seconds: float) -> None:
    """Announces `READY` once everything is imported, then answers `(function, arguments)` with the result.

    A `UserError` is sent back as the answer, `OUT_OF_MEMORY` for a `MemoryError`; any other exception ends the process,
    which the pool sees.

    Args:
        connection: the worker's end of its pipe; its end of file means that the parent is gone.
        timeout_seconds: what the parent allows one call.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    grade("math", "1/2", "0.5")  # imports Math-Verify and sympy, and compiles their patterns
    limit_address_space()
    try:
        connection.send(READY)
        while True:
            connection.send(_answer(connection.recv(), timeout_seconds))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _answer(request: tuple[Callable[..., object], tuple[object, ...]], timeout_seconds: float) -> object:
    """Runs one call under an alarm whose default action ends the process, even inside one endless C call."""
    function, arguments = request
    signal.alarm(int(timeout_seconds) + 1 + ORPHAN_GRACE_SECONDS)
    try:
        return function(*arguments)
    except UserError as error:
        return error
    except MemoryError:
        return OUT_OF_MEMORY
    finally:
        signal.alarm(0)
