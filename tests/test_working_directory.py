"""One directory a rollout: the same facts find it again, one process at a time."""

import logging

import pytest

from drift.errors import UserError
from drift.working_directory import begin_session, working_directory

FACTS = {"model": "m", "temperature": 0.8, "protocol": {"max_turns": 5, "feedback": "No."}}


def test_the_same_facts_find_the_same_directory_and_say_nothing(tmp_path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        with working_directory(tmp_path, FACTS, "sampling") as first:
            pass
        with working_directory(tmp_path, dict(reversed(FACTS.items())), "sampling") as second:
            pass
    assert first == second
    assert "afresh" not in caplog.text


def test_changed_facts_have_another_directory_and_say_what_changed(tmp_path, caplog) -> None:
    with working_directory(tmp_path, FACTS, "sampling") as first:
        begin_session(first, FACTS, "sampling")
    changed = {**FACTS, "temperature": 1.0, "protocol": {"max_turns": 3, "feedback": "No."}}
    with caplog.at_level(logging.INFO), working_directory(tmp_path, changed, "sampling") as second:
        assert second != first
    assert (
        "Sampling starts afresh, since this changed: protocol.max_turns (5 → 3), temperature (0.8 → 1.0)" in caplog.text
    )


def test_rollouts_of_another_kind_are_not_compared(tmp_path, caplog) -> None:
    with working_directory(tmp_path, FACTS, "sampling") as directory:
        begin_session(directory, FACTS, "sampling")
    with caplog.at_level(logging.INFO), working_directory(tmp_path, {**FACTS, "model": "n"}, "evaluating"):
        pass
    assert "afresh" not in caplog.text


def test_two_processes_are_not_at_the_same_rollout(tmp_path) -> None:
    with (
        working_directory(tmp_path, FACTS, "sampling"),
        pytest.raises(UserError, match="Another run is sampling with the same settings"),
        working_directory(tmp_path, FACTS, "sampling"),
    ):
        pass


def test_sessions_are_numbered_across_processes(tmp_path) -> None:
    numbers = []
    for _ in range(3):
        with working_directory(tmp_path, FACTS, "sampling") as directory:
            numbers.append(begin_session(directory, FACTS, "sampling"))
    assert numbers == [1, 2, 3]


def test_the_comparison_is_with_what_was_asked_for_last(tmp_path, caplog) -> None:
    for temperature in (0.8, 0.7, 0.8):
        facts = {**FACTS, "temperature": temperature}
        with working_directory(tmp_path, facts, "sampling") as directory:
            begin_session(directory, facts, "sampling")
    with caplog.at_level(logging.INFO), working_directory(tmp_path, {**FACTS, "problems": "1f"}, "sampling"):
        pass
    assert caplog.messages[-1] == "Sampling starts afresh, since this changed: problems"


def test_what_never_began_is_said_again(tmp_path, caplog) -> None:
    with working_directory(tmp_path, FACTS, "sampling") as directory:
        begin_session(directory, FACTS, "sampling")
    for _ in range(2):
        with caplog.at_level(logging.INFO), working_directory(tmp_path, {**FACTS, "temperature": 1.0}, "sampling"):
            pass
    assert len(caplog.messages) == 2
