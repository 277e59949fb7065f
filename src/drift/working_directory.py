"""The working directory of long work: named by everything that decides its result, held by one process at a time.

Running the same rollout or training again finds the same directory and goes on there; any changed setting is another
directory, and what has changed is said.
"""

import fcntl
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drift.errors import UserError
from drift.fingerprint import fingerprint
from drift.shards import replace_durably

logger = logging.getLogger(__name__)

_NOTE = "work.json"
# Facts that are fingerprints, which tell a reader nothing.
_NAMED_BY_CONTENT = {"model", "problems", "examples"}


@contextmanager
def working_directory(root: Path, facts: Mapping[str, Any], description: str) -> Iterator[Path]:
    """The directory of the work with these facts, for this process alone.

    Args:
        root: under which every rollout (or training) has a directory of its own.
        facts: what decides the result.
        description: what is done, for the messages; work of the same description is compared.

    Raises:
        UserError: when another process is at the same work.
    """
    directory = root / fingerprint(dict(facts))
    directory.mkdir(parents=True, exist_ok=True)
    with exclusive(directory, description):
        if (directory / _NOTE).exists():
            (directory / _NOTE).touch()  # the last one that was asked for, with which the next is compared
        else:
            _say_what_changed(root, facts, description)
        yield directory


def begin_session(directory: Path, facts: Mapping[str, Any], description: str) -> int:
    """Counts the processes that have worked in a directory; returns the number of this one, from 1 on."""
    sessions = _read_note(directory)["sessions"] + 1 if (directory / _NOTE).exists() else 1
    _write_note(directory, {"description": description, "facts": dict(facts), "sessions": sessions})
    return int(sessions)


@contextmanager
def exclusive(directory: Path, description: str) -> Iterator[None]:
    """Keeps other processes out of a directory; the lock goes with the process, however it ends.

    Raises:
        UserError: when another process has it.
    """
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another run is {description} with the same settings in {directory}: wait for it to end, or change "
                "the seed."
            ) from error
        yield


def _say_what_changed(root: Path, facts: Mapping[str, Any], description: str) -> None:
    """Compares new work with the last of the same description."""
    notes = sorted(root.glob(f"*/{_NOTE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    earlier = [
        note["facts"] for note in (_read_note(path.parent) for path in notes) if note["description"] == description
    ]
    if earlier:
        before, now = _flat(earlier[0]), _flat(json.loads(json.dumps(facts, default=str)))
        changed = [
            name if name in _NAMED_BY_CONTENT else f"{name} ({before.get(name)} → {now.get(name)})"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        logger.info(
            "%s starts afresh, since this changed: %s", description[:1].upper() + description[1:], ", ".join(changed)
        )


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested facts under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _read_note(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / _NOTE).read_text()))


def _write_note(directory: Path, note: Mapping[str, Any]) -> None:
    partial = directory / f".{_NOTE}.partial"
    partial.write_text(json.dumps(note, indent=2, sort_keys=True, default=str) + "\n")
    replace_durably(partial, directory / _NOTE)
