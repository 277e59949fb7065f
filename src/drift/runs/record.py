"""The record of one run: a JSON file that is there from the beginning of the run, and whole at every moment.

A run that is killed cannot finish its record. It stays `running`, and a later run, which finds that its process is
gone, marks it `killed`.
"""

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from drift.machine.number_formats import record_of_choices
from drift.shards import replace_durably

Outcome = Literal["running", "succeeded", "failed", "interrupted", "killed"]


@dataclass
class NodeRecord:
    """One node of the run.

    Attributes:
        name: its name.
        status: `waiting`, `running`, `succeeded`, `skipped`, or how the run ended while it was running.
        seconds: loading, computing and saving; null before it has ended.
    """

    name: str
    status: str = "waiting"
    seconds: float | None = None


@dataclass(kw_only=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        session_id: Kedro's; also the version of everything the run saves.
        outcome: `running` until it ends; a later run makes it `killed` where the process is gone.
        error: the sentence it failed with.
        command: as it was typed.
        environment: the configuration environment.
        pipelines: names of the pipelines asked for.
        overrides: what `--params` said.
        started: when it began, UTC.
        ended: when it ended, UTC; null where it did not say.
        seconds: how long it took.
        nodes: in the order in which they run.
        loaded: name → path and version, or a fingerprint of the content where there are no versions.
        saved: the same of what was saved.
        code: version, commit, and whether the checkout differs from it.
        packages: versions of what can change a result.
        machine: see `drift.machine.machine.machine`.
        parameters: all of them, defaults and overrides included.
        number_formats: what sampling and training computed in, why, and the measured GFLOP/s.
        process: host, process id and its time of birth, by which a killed run is known.
    """

    session_id: str
    outcome: Outcome = "running"
    error: str | None = None
    command: str
    environment: str
    pipelines: list[str]
    overrides: dict[str, Any]
    started: str = field(default_factory=lambda: utc_now())
    ended: str | None = None
    seconds: float | None = None
    nodes: list[NodeRecord]
    loaded: dict[str, dict[str, Any]] = field(default_factory=dict)
    saved: dict[str, dict[str, Any]] = field(default_factory=dict)
    code: dict[str, Any]
    packages: dict[str, str]
    machine: dict[str, Any]
    parameters: dict[str, Any]
    number_formats: dict[str, dict[str, Any]] = field(default_factory=dict)
    process: dict[str, Any] = field(default_factory=lambda: this_process())

    def __post_init__(self) -> None:
        """Starts the clocks, which are not part of what is written."""
        self._begun = time.monotonic()
        self._node_begun: dict[str, float] = {}

    def begin_node(self, name: str) -> bool:
        """A node begins; returns whether that is news (a node's inputs are loaded one by one)."""
        if name in self._node_begun:
            return False
        self._node_begun[name] = time.monotonic()
        self._node(name).status = "running"
        return True

    def end_node(self, name: str, status: str = "succeeded") -> None:
        """A node has ended."""
        node = self._node(name)
        node.status = status
        node.seconds = round(time.monotonic() - self._node_begun[name], 3)

    def end(self, outcome: Outcome, error: str | None = None) -> None:
        """The run has ended; what was running ended as the run did, and what was not needed is skipped."""
        for node in self.nodes:
            if node.status == "running":
                self.end_node(node.name, outcome)
            elif node.status == "waiting" and outcome == "succeeded":
                node.status = "skipped"
        self.outcome, self.error = outcome, error
        self.ended, self.seconds = utc_now(), round(time.monotonic() - self._begun, 3)

    def write(self, directory: Path) -> Path:
        """Writes the record as `<session id>.json`."""
        self.number_formats = record_of_choices()
        return write_json(asdict(self), directory / f"{self.session_id}.json")

    def _node(self, name: str) -> NodeRecord:
        return next(node for node in self.nodes if node.name == name)


def mark_killed(directory: Path) -> list[str]:
    """Marks the records of runs whose process is gone; returns their session ids."""
    killed = []
    for path in sorted(directory.glob("*.json")):
        record = json.loads(path.read_text())
        if record["outcome"] == "running" and is_gone(record["process"]):
            nodes = record["nodes"]
            for node in nodes:
                node["status"] = "killed" if node["status"] == "running" else node["status"]
            write_json({**record, "outcome": "killed", "nodes": nodes}, path)
            killed.append(record["session_id"])
    return killed


def is_gone(process: Mapping[str, Any]) -> bool:
    """Whether a process of this host lives no longer; of another host's nothing is known."""
    if process["host"] != platform.node():
        return False
    try:
        return psutil.Process(process["pid"]).create_time() != process["born"]
    except psutil.NoSuchProcess:
        return True


def this_process() -> dict[str, Any]:
    """What tells this process from every other, also from a later one with the same id."""
    return {"host": platform.node(), "pid": os.getpid(), "born": psutil.Process().create_time()}


def write_json(record: Mapping[str, Any], path: Path) -> Path:
    """Writes a record so that it is whole whenever somebody reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(record, indent=2, default=str) + "\n")
    replace_durably(partial, path)
    return path


def utc_now() -> str:
    """The time, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def node_records(names: Iterable[str]) -> list[NodeRecord]:
    """Nodes that have not begun."""
    return [NodeRecord(name) for name in names]
