"""Finished problems on their way to disk: cut off, continued, full disk."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from drift.errors import UserError
from drift.protocol.trajectory import TRAJECTORY_SCHEMA, Trajectory, Turn, to_table
from drift.rollout.journal import Journal, read_journal
from drift.rollout.shard_writer import ShardWriter, finished_problems
from drift.shards import Shards, shard_files


def problem(name: str, num_trajectories: int = 4) -> list[Trajectory]:
    turns = [Turn("no", 3, 5, None, "unparsable", False), Turn("It is 2", 7, 9, "2", "correct", True)]
    return [Trajectory(name, index, list(range(9)), turns) for index in range(num_trajectories)]


def batch(name: str) -> pa.RecordBatch:
    return to_table(problem(name)).to_batches()[0]


def test_the_columns_hold_what_the_trajectories_say() -> None:
    (row, *_) = to_table(problem("p")).to_pylist()
    assert row["problem_id"] == "p" and row["token_ids"] == list(range(9))
    assert row["success"] and row["num_turns"] == 2
    assert [turn["verdict"] for turn in row["turns"]] == ["unparsable", "correct"]
    assert [turn["answer"] for turn in row["turns"]] == [None, "2"]
    assert to_table([]).schema == TRAJECTORY_SCHEMA


def test_a_journal_cut_off_anywhere_keeps_its_whole_batches(tmp_path) -> None:
    path = tmp_path / "journal.arrow"
    journal = Journal(path, [batch("a")], TRAJECTORY_SCHEMA)
    sizes = [path.stat().st_size]
    for name in ("b", "c"):
        journal.write(batch(name))
        sizes.append(path.stat().st_size)
    journal.sync()
    journal.close()
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        names = [entry["problem_id"][0].as_py() for entry in read_journal(path)]
        assert names == ["a", "b", "c"][: sum(size <= length for size in sizes)]


def test_what_was_added_is_finished_at_once_and_continued(tmp_path) -> None:
    writer = ShardWriter(tmp_path, rows_per_shard=12)
    writer.add([problem("a"), problem("b")])
    assert finished_problems(tmp_path).problem_ids == {"a", "b"}, "though there is no shard yet"
    assert shard_files(tmp_path) == []

    later = ShardWriter(tmp_path, rows_per_shard=12)  # the first was killed: it never closed
    later.add([problem("c"), problem("d")])
    later.finish()
    finished = finished_problems(tmp_path)
    assert finished.problem_ids == set("abcd") and finished.solved_at == {2: 16}
    rows = [table["problem_id"].to_pylist()[::4] for table in Shards(tmp_path, {}).tables()]
    assert rows == [["a", "b", "c"], ["d"]]
    assert [path.name for path in tmp_path.iterdir() if "journal" in path.name] == []


def test_a_problem_with_more_trajectories_than_a_shard_has_rows_has_one_of_its_own(tmp_path) -> None:
    writer = ShardWriter(tmp_path, rows_per_shard=5)
    writer.add([problem("a", 3), problem("b", 9), problem("c", 2), problem("d", 3)])
    writer.finish()
    assert [table.num_rows for table in Shards(tmp_path, {}).tables()] == [3, 9, 5]


def test_the_journal_of_a_shard_that_is_there_is_not_read_again(tmp_path) -> None:
    writer = ShardWriter(tmp_path, rows_per_shard=8)
    writer.add([problem("a"), problem("b")])
    journal = (tmp_path / "journal-000000.arrow").read_bytes()
    writer.add([problem("c")])
    (tmp_path / "journal-000000.arrow").write_bytes(journal)  # killed between the shard and the removal of its journal
    later = ShardWriter(tmp_path, rows_per_shard=8)
    later.finish()
    assert [table["problem_id"].to_pylist()[::4] for table in Shards(tmp_path, {}).tables()] == [["a", "b"], ["c"]]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of one megabyte."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def fill(directory: Path) -> int:
    """Adds problems until the disk is full; returns how many were added."""
    writer = ShardWriter(directory, rows_per_shard=10**6)
    added = 0
    try:
        with pytest.raises(UserError, match=r"disk of .* is full .* run the same command again; finished problems"):
            while added < 10**4:
                writer.add([problem(f"p{added}")])
                added += 1
    finally:
        writer.close()
    return added


def test_a_full_disk_is_one_sentence_and_loses_nothing(small_disk) -> None:
    added = fill(small_disk)
    assert len(finished_problems(small_disk).problem_ids) == added > 100
    for path in small_disk.glob("*.partial"):
        path.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    writer = ShardWriter(small_disk, rows_per_shard=10**6)
    writer.add([problem("last")])
    writer.finish()
    assert len(finished_problems(small_disk).problem_ids) == added + 1


def test_a_file_that_may_not_grow_is_one_sentence(tmp_path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        added = fill(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(finished_problems(tmp_path).problem_ids) == added > 10
