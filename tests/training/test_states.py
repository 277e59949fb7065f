"""Saved states: whole or not there, checked before use, the last two kept."""

import errno
import json
import logging

import pytest
import torch

from drift.errors import UserError, disk_full
from drift.training.processes import Processes
from drift.training.states import States


@pytest.fixture
def states(tmp_path) -> States:
    return States(tmp_path, Processes.alone(torch.device("cpu")))


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"weight.a": torch.full((3, 4), value), "exp_avg.a": torch.full((3, 4), value / 2)}


def loaded(states: States) -> tuple[int, list, float]:
    into = tensors(0.0)
    step, log = states.load(into)
    return step, log, into["weight.a"][0, 0].item()


def save(states: States, *steps: int) -> None:
    for step in steps:
        states.save(step, tensors(float(step)), [{"step": number} for number in range(1, step + 1)])


def test_a_state_gives_back_what_it_was_given(states):
    assert loaded(states) == (0, [], 0.0)
    save(states, 3)
    assert loaded(states) == (3, [{"step": 1}, {"step": 2}, {"step": 3}], 3.0)


def test_the_last_two_are_kept(states):
    save(states, 3, 6, 9, 12)
    assert [path.name for path in states.paths()] == ["state-00000009", "state-00000012"]


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "cut off": lambda path: (largest(path)).write_bytes(largest(path).read_bytes()[:-7]),
    "a flipped bit": lambda path: flip(largest(path)),
    "a file is missing": lambda path: largest(path).unlink(),
    "an empty note": lambda path: (path / "state.json").write_text(""),
    "no note": lambda path: (path / "state.json").unlink(),
    "a log of another step": lambda path: (path / "log.json").write_text("[]"),
    "a note of another step": lambda path: (path / "state.json").write_text(
        json.dumps({**json.loads((path / "state.json").read_text()), "step": 99})
    ),
}


def largest(path):
    return max(path.glob("*.distcp"), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_found_out_and_the_one_before_it_is_used(states, caplog, damage):
    save(states, 3, 6)
    damage(states.paths()[-1])
    with caplog.at_level(logging.WARNING):
        assert loaded(states) == (3, [{"step": 1}, {"step": 2}, {"step": 3}], 3.0)
    assert f"{states.directory / 'state-00000006'} is damaged; the one before it is used" in caplog.text


def test_without_a_whole_state_training_begins_anew(states):
    save(states, 3)
    DAMAGES["a flipped bit"](states.paths()[0])
    assert loaded(states)[:2] == (0, [])


def test_half_a_state_is_not_a_state_and_does_not_stand_in_the_way(states):
    save(states, 3)
    partial = states.directory / ".state-00000006.partial"
    partial.mkdir()
    (partial / "__0_0.distcp").write_bytes(b"half")
    assert loaded(states)[0] == 3
    save(states, 6)
    assert loaded(states)[0] == 6
    states.clear()
    assert list(states.directory.iterdir()) == []


def test_a_disk_that_fills_while_saving_is_what_the_operating_system_says(states, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.distributed.checkpoint.filesystem.os.fsync", full)
    with pytest.raises(OSError) as error:
        save(states, 3)
    assert disk_full(error.value) is not None
    assert states.paths() == []


def test_a_disk_that_cannot_hold_the_states_is_refused(states):
    class Huge(torch.Tensor):
        def numel(self) -> int:
            return 10**15

    with pytest.raises(UserError, match=r"GiB free, and the states of this training need .* make room"):
        states.refuse_full_disk({"weight.a": Huge()})
