"""What is seen of a rollout while it runs: live in a terminal, a line now and then in a log."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from drift.protocol.trajectory import Trajectory

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 12.0
WINDOW_SECONDS = 30.0
"""Rates are those of the last half minute: an engine that is disturbed shows it, and a slow beginning is forgotten."""
USUAL_START = "usually 5 to 60 s"


@dataclass
class Tally:
    """How far a rollout has come.

    Attributes:
        num_problems: how many there are in all.
        finished_problems: how many are done, those of earlier processes included.
        num_trajectories: N.
        solved_at_turn_K: finished trajectories solved at turn 1 … K, those of earlier processes included.
        finished_trajectories: those of earlier processes included.
    """

    num_problems: int
    num_trajectories: int
    finished_problems: int
    solved_at_turn_K: list[int]
    finished_trajectories: int
    _begun: float = field(default_factory=time.monotonic)
    _started: float | None = None
    _already_there: int = 0
    _asked_K: list[int] = field(default_factory=list)
    _right_K: list[int] = field(default_factory=list)
    _tokens: int = 0
    _window: deque[tuple[float, int, int]] = field(default_factory=deque)

    def start(self) -> None:
        """The engine is up: rates count from here on."""
        self._started = time.monotonic()
        self._already_there = self.finished_trajectories
        self._asked_K, self._right_K = ([0] * len(self.solved_at_turn_K) for _ in range(2))
        self._window.append((self._started, 0, 0))

    def add_turn(self, turn: int, right: bool, num_tokens: int) -> None:
        """Counts a response.

        Args:
            turn: its number in its conversation, from 1.
            right: whether it ended the conversation by being correct.
            num_tokens: of the response.
        """
        self._asked_K[turn - 1] += 1
        self._right_K[turn - 1] += right
        self._tokens += num_tokens
        now = time.monotonic()
        self._window.append((now, sum(self._asked_K), self._tokens))
        while len(self._window) > 2 and self._window[1][0] < now - WINDOW_SECONDS:
            self._window.popleft()

    def add(self, trajectory: Trajectory) -> None:
        """Counts a finished trajectory."""
        self.finished_trajectories += 1
        if trajectory.success:
            self.solved_at_turn_K[trajectory.num_turns - 1] += 1

    def __str__(self) -> str:
        """`64 of 128 problems, 540 trajectories, 1,702 turns, solved by turn 1…5: 17 21 22 23 24 %, 412 tokens/s`."""
        parts = [f"{self.finished_problems:,} of {self.num_problems:,} problems"]
        if self.finished_trajectories:
            parts.append(f"{self.finished_trajectories:,} trajectories")
        if num_turns := sum(self._asked_K):
            parts.append(f"{num_turns:,} turns")
        if self.finished_trajectories:
            parts.append(self._solved())
        if self._started is None:
            parts.append(f"starting the engine ({USUAL_START}; {time.monotonic() - self._begun:.0f} s so far)")
        elif num_turns:
            first, last = self._window[0], self._window[-1]
            seconds = max(last[0] - first[0], 1e-3)
            parts.append(f"{(last[2] - first[2]) / seconds:,.0f} tokens/s")
            parts.append(f"{duration(self._turns_left() * seconds / max(last[1] - first[1], 1))} left")
        return ", ".join(parts)

    def _turns_left(self) -> float:
        conversations = self.num_problems * self.num_trajectories - self._already_there
        return max(0.0, conversations * expected_turns(self._asked_K, self._right_K) - sum(self._asked_K))

    def _solved(self) -> str:
        shares, solved = [], 0
        for num_solved in self.solved_at_turn_K:
            solved += num_solved
            shares.append(f"{100 * solved / self.finished_trajectories:.0f}")
        turns = "1" if len(shares) == 1 else f"1…{len(shares)}"
        return f"solved by turn {turns}: {' '.join(shares)} %"


def expected_turns(asked_K: Sequence[int], right_K: Sequence[int]) -> float:
    """Mean turns of a conversation: sum over turns k of the probability that all before k were wrong.

    What is finished first was right at once, so finished conversations say too little of the others' length; every turn
    counts by itself here. A turn that nobody has reached yet is taken to be as often right as the one before it.

    Args:
        asked_K: responses at turn 1 … K so far.
        right_K: those of them that were right.
    """
    reached, turns, share = 1.0, 0.0, 0.0
    for asked, right in zip(asked_K, right_K, strict=True):
        turns += reached
        share = right / asked if asked else share
        reached *= 1 - share
    return turns


def duration(seconds: float) -> str:
    """A time to wait as `45 s`, `3 min` or `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def shown(description: str, tally: Tally) -> Iterator[None]:
    """Shows a tally while the block runs: a bar that lives in a terminal, elsewhere a line every few seconds."""
    console = Console(stderr=True)
    if console.is_terminal:
        with Live(get_renderable=lambda: _bar(description, tally), console=console, refresh_per_second=4):
            yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_write_lines, args=(description, tally, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bar(description: str, tally: Tally) -> Group:
    bar = ProgressBar(total=tally.num_problems, completed=tally.finished_problems, width=40)
    return Group(Columns([Text(description, style="bold"), bar]), Text(str(tally)))


def _write_lines(description: str, tally: Tally, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_LINES):
        logger.info("%s: %s", description, tally)
    logger.info("%s: %s", description, tally)
