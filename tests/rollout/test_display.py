"""What is seen of a rollout while it runs."""

import logging
import random
import time
from types import SimpleNamespace

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
    assert str(tally()) == (
        "4 of 10 problems, 8 trajectories, solved by turn 1…3: 25 50 50 %, "
        "starting the engine (usually 5 to 60 s; 0 s so far)"
    )


def test_counts_add_up_and_rates_are_of_this_process(monkeypatch) -> None:
    counted = tally()
    clock = iter([0.0, *[2.0] * 6])  # the start, and six turns two seconds later
    monkeypatch.setattr(display, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    counted.start()
    for turn in (1, 2, 3):
        counted.add_turn(turn, right=turn == 3, num_tokens=5)
        counted.add_turn(turn, right=False, num_tokens=5)
    counted.add(trajectory(3, success=True))
    counted.add(trajectory(3, success=False))
    counted.finished_problems += 1
    problems, trajectories, turns, solved, rate, left = str(counted).split(", ")
    assert (problems, trajectories, turns) == ("5 of 10 problems", "10 trajectories", "6 turns")
    assert solved == "solved by turn 1…3: 20 40 50 %"
    assert (rate, left) == ("15 tokens/s", "10 s left")  # 6 turns of 5 tokens; 12 conversations of 3 turns begun


def test_the_expected_length_is_known_long_before_the_failures_have_finished() -> None:
    """Of 1,000 conversations begun together, those that are right early finish first: a fifth of the turns tells."""
    right = [0.3, 0.2, 0.1, 0.1, 0.05]
    conversations = 1000
    generator = random.Random(0)
    lengths = [next((k for k, p in enumerate(right, 1) if generator.random() < p), 5) for _ in range(conversations)]
    asked, were_right, seen = [0] * 5, [0] * 5, 0
    for turn in range(1, 6):  # in lock-step: the worst case, nobody is at turn 3 when a fifth is done
        for length in lengths:
            if length >= turn and seen < sum(lengths) / 5:
                asked[turn - 1] += 1
                were_right[turn - 1] += length == turn and turn < 5
                seen += 1
    expected = display.expected_turns(asked, were_right) * conversations
    assert sum(lengths) / 1.5 < expected < sum(lengths) * 1.5
    assert display.expected_turns([10, 8], [2, 4]) == pytest.approx(1 + 0.8)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_terminal_there_are_plain_lines(caplog, monkeypatch) -> None:
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0.05)
    deadline = time.monotonic() + 60
    with caplog.at_level(logging.INFO, logger="drift"), shown("sampling", tally()):
        while len(caplog.records) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) >= 3
    assert lines[-1].startswith("sampling: 4 of 10 problems")
    assert "\x1b" not in "".join(lines)
