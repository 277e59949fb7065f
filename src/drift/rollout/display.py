"""What is seen of a rollout while it runs: live in a terminal, a line now and then in a log."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from drift.protocol.trajectory import Trajectory

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


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
    _now_finished: int = 0
    _now_tokens: int = 0
    _started: float | None = None

    def start(self) -> None:
        """The engine is up: rates count from here on."""
        self._started = time.monotonic()

    def add(self, trajectory: Trajectory) -> None:
        """Counts a finished trajectory."""
        self.finished_trajectories += 1
        self._now_finished += 1
        self._now_tokens += sum(turn.end - turn.start for turn in trajectory.turns)
        if trajectory.success:
            self.solved_at_turn_K[trajectory.num_turns - 1] += 1

    def __str__(self) -> str:
        """`64 of 128 problems, 540 trajectories, solved by turn 1…5: 17 21 22 23 24 %, 412 tokens/s, 2 min left`."""
        parts = [f"{self.finished_problems:,} of {self.num_problems:,} problems"]
        if self.finished_trajectories:
            parts += [f"{self.finished_trajectories:,} trajectories", self._solved()]
        if self._started is None:
            parts.append("starting the engine")
        elif self._now_finished:
            seconds = max(time.monotonic() - self._started, 1e-3)
            left = self.num_problems * self.num_trajectories - self.finished_trajectories
            parts.append(f"{self._now_tokens / seconds:,.0f} tokens/s")
            parts.append(f"{duration(left * seconds / self._now_finished)} left")
        return ", ".join(parts)

    def _solved(self) -> str:
        shares, solved = [], 0
        for num_solved in self.solved_at_turn_K:
            solved += num_solved
            shares.append(f"{100 * solved / self.finished_trajectories:.0f}")
        turns = "1" if len(shares) == 1 else f"1…{len(shares)}"
        return f"solved by turn {turns}: {' '.join(shares)} %"


def duration(seconds: float) -> str:
    """A time to wait as `45 s`, `3 min` or `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def shown(description: str, tally: Tally) -> Iterator[None]:
    """Shows a tally while the block runs: a bar that lives in a terminal, elsewhere a line every half minute."""
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
