"""What is seen of a rollout while it runs."""

import logging
import time

import pytest

from drift.protocol.trajectory import Trajectory, Turn
from drift.rollout import display
from drift.rollout.display import Tally, duration, shown


def trajectory(num_turns: int, success: bool) -> Trajectory:
    turns = [Turn("r", 10 * turn, 10 * turn + 5, "1", "wrong", True) for turn in range(num_turns)]
    if success:
        turns[-1] = Turn("r", 0, 5, "1", "correct", True)
    return Trajectory("p", 0, [], turns)


def tally() -> Tally:
    return Tally(
        num_problems=10, num_trajectories=2, finished_problems=4, finished_trajectories=8, solved_at_turn_K=[2, 2, 0]
    )


def test_a_continued_rollout_shows_where_it_was() -> None:
    assert str(tally()) == ("4 of 10 problems, 8 trajectories, solved by turn 1…3: 25 50 50 %, starting the engine")


def test_counts_add_up_and_rates_are_of_this_process() -> None:
    counted = tally()
    counted.start()
    time.sleep(0.1)
    counted.add(trajectory(3, success=True))
    counted.add(trajectory(3, success=False))
    counted.finished_problems += 1
    problems, trajectories, solved, rate, left = str(counted).split(", ")
    assert (problems, trajectories) == ("5 of 10 problems", "10 trajectories")
    assert solved == "solved by turn 1…3: 20 40 50 %"
    assert (
        30 < float(rate.removesuffix(" tokens/s").replace(",", "")) < 301
    )  # 30 tokens in at least a tenth of a second
    assert left.endswith("left")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_terminal_there_are_plain_lines(caplog, monkeypatch) -> None:
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0.05)
    with caplog.at_level(logging.INFO, logger="drift"), shown("sampling", tally()):
        time.sleep(0.3)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) >= 3
    assert lines[-1].startswith("sampling: 4 of 10 problems")
    assert "\x1b" not in "".join(lines)
