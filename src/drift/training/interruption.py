"""A training that is asked to stop ends after the step it is at, with its state saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether someone has asked this process to stop.

    Attributes:
        number: of the signal that asked; 0 when none did.
    """

    number = 0

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: now
        self.number = number


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Notes Ctrl-C and SIGTERM in place of dying of them; a second Ctrl-C stops at once.

    Python's signals reach the main thread only: in any other (a notebook's, a thread runner's) they stay as they are.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption._handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
