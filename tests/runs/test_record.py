import json
import subprocess
import sys
import textwrap

import psutil
import pytest

from drift.runs.record import RunRecord, is_gone, mark_killed, node_records, this_process


def record(session_id: str = "2026-01-01T00.00.00.000Z", **more) -> RunRecord:
    facts = {"command": "kedro run", "environment": "local", "pipelines": ["__default__"], "overrides": {}}
    empty = {"parameters": {}, "code": {}, "packages": {}, "machine": {}}
    return RunRecord(session_id=session_id, nodes=node_records(["first", "second"]), **facts, **empty, **more)


def read(path):
    return json.loads(path.read_text())


def test_a_run_that_has_begun_is_visibly_unfinished(tmp_path):
    begun = record()
    begun.begin_node("first")
    written = read(begun.write(tmp_path))
    assert (written["outcome"], written["ended"], written["seconds"]) == ("running", None, None)
    assert [node["status"] for node in written["nodes"]] == ["running", "waiting"]


@pytest.mark.parametrize(
    ("outcome", "statuses"), [("failed", ["succeeded", "failed"]), ("interrupted", ["succeeded", "interrupted"])]
)
def test_what_was_running_ends_as_the_run_did(tmp_path, outcome, statuses):
    ended = record()
    ended.begin_node("first")
    ended.end_node("first")
    ended.begin_node("second")
    ended.end(outcome, "There is no room left.")
    written = read(ended.write(tmp_path))
    assert [node["status"] for node in written["nodes"]] == statuses
    assert all(node["seconds"] >= 0 for node in written["nodes"])
    assert (written["outcome"], written["error"]) == (outcome, "There is no room left.")
    assert written["ended"] >= written["started"]


def test_a_node_that_was_not_needed_is_skipped_and_one_that_was_not_reached_is_not():
    succeeded, failed = record(), record()
    succeeded.end("succeeded")
    failed.end("failed")
    assert {node.status for node in succeeded.nodes} == {"skipped"}
    assert {node.status for node in failed.nodes} == {"waiting"}


def test_a_killed_run_is_marked_by_a_later_one_and_a_living_one_is_not(tmp_path):
    script = f"""
        import os, signal
        from pathlib import Path
        from drift.runs.record import RunRecord, node_records
        killed = RunRecord(
            session_id="killed", command="kedro run", environment="local", pipelines=[], overrides={{}},
            parameters={{}}, code={{}}, packages={{}}, machine={{}}, nodes=node_records(["first", "second"]),
        )
        killed.begin_node("first")
        killed.write(Path({str(tmp_path)!r}))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    finished = record("finished")
    finished.end("succeeded")
    finished.write(tmp_path)
    record("living").write(tmp_path)
    assert read(tmp_path / "killed.json")["outcome"] == "running"
    assert mark_killed(tmp_path) == ["killed"]
    assert mark_killed(tmp_path) == []
    outcomes = {path.stem: read(path)["outcome"] for path in tmp_path.glob("*.json")}
    assert outcomes == {"finished": "succeeded", "killed": "killed", "living": "running"}
    assert [node["status"] for node in read(tmp_path / "killed.json")["nodes"]] == ["killed", "waiting"]


def test_another_process_with_the_same_id_is_not_taken_for_the_run():
    mine = this_process()
    assert not is_gone(mine)
    assert is_gone({**mine, "born": mine["born"] - 1})
    unused = next(pid for pid in range(2**22 - 1, 1, -1) if not psutil.pid_exists(pid))
    assert is_gone({**mine, "pid": unused})


def test_nothing_is_known_of_processes_of_another_host():
    assert not is_gone({"host": "elsewhere", "pid": 1, "born": 0.0})


def test_a_reader_never_meets_half_a_record(tmp_path):
    begun = record()
    path = begun.write(tmp_path)
    before = path.stat().st_ino
    begun.end("succeeded")
    begun.write(tmp_path)
    assert path.stat().st_ino != before, "it is replaced, not written over"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
