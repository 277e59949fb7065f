"""Finished problems on their way to disk: into the journal at once, and into a shard when there are enough of them.

A rollout's directory holds `shard-000000.parquet` … and the journal of the shard to come. A problem is finished when it
is in either; a process may be killed between any two instructions here and the next one continues.
"""

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from drift.errors import UserError
from drift.protocol.trajectory import TRAJECTORY_SCHEMA, Trajectory, to_table
from drift.rollout.journal import Journal, read_journal
from drift.shards import Shards, shard_files, shard_path, write_shard

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Finished:
    """What earlier processes have finished.

    Attributes:
        problem_ids: the problems whose trajectories are all on the disk.
        solved_at: their trajectories that were solved, by turn.
    """

    problem_ids: set[str]
    solved_at: Counter[int]


def finished_problems(directory: Path) -> Finished:
    """Looks through the shards and the journal of a rollout's directory, one after the other."""
    finished = Finished(set(), Counter())
    for table in _finished_tables(directory):
        finished.problem_ids.update(table["problem_id"].unique().to_pylist())
        finished.solved_at.update(table.filter(table["success"])["num_turns"].to_pylist())
    return finished


def _finished_tables(directory: Path) -> Iterator[pa.Table]:
    yield from Shards(directory, {}).tables(["problem_id", "success", "num_turns"])
    if batches := read_journal(_journal_path(directory)):
        yield pa.Table.from_batches(batches)


def _journal_path(directory: Path) -> Path:
    """The journal of the shard to come; one of a shard that is there already holds nothing new."""
    return directory / f"journal-{len(shard_files(directory)):06d}.arrow"


class ShardWriter:
    """Writes whole problems; only one process may do so in a directory. Not thread-safe.

    Attributes:
        num_problems: problems this writer was given.
    """

    def __init__(self, directory: Path, rows_per_shard: int) -> None:
        """Continues where the last process stopped.

        Args:
            directory: the rollout's own directory.
            rows_per_shard: most trajectories of one shard; a single problem with more has a shard of its own.
        """
        self._directory = directory
        self._rows_per_shard = rows_per_shard
        self.num_problems = 0
        self._batches = read_journal(_journal_path(directory))
        self._num_rows = sum(batch.num_rows for batch in self._batches)
        with _one_sentence_when_full(directory):
            self._journal = Journal(_journal_path(directory), self._batches, TRAJECTORY_SCHEMA)
            self._remove_old_journals()

    def add(self, problems: Sequence[list[Trajectory]]) -> None:
        """Writes finished problems; when it returns they are on the disk.

        Raises:
            UserError: when the disk is full.
        """
        with _one_sentence_when_full(self._directory):
            for trajectories in problems:
                (batch,) = to_table(trajectories).combine_chunks().to_batches()
                if self._batches and self._num_rows + batch.num_rows > self._rows_per_shard:
                    self._write_shard()
                self._journal.write(batch)
                self._batches.append(batch)
                self._num_rows += batch.num_rows
            self._journal.sync()
        self.num_problems += len(problems)

    def finish(self) -> None:
        """Makes a shard of what is left, when no more problems will come."""
        with _one_sentence_when_full(self._directory):
            if self._batches:
                self._write_shard()
        self.close()
        _journal_path(self._directory).unlink()

    def close(self) -> None:
        """Stops writing; what was added is kept. Calling it again does nothing."""
        self._journal.close()

    def _write_shard(self) -> None:
        """Makes a shard of everything in the journal, and begins the next one."""
        table = pa.Table.from_batches(self._batches)
        write_shard(table, shard_path(self._directory, len(shard_files(self._directory))))
        self._batches, self._num_rows = [], 0
        self._journal.close()
        self._journal = Journal(_journal_path(self._directory), [], TRAJECTORY_SCHEMA)
        self._remove_old_journals()

    def _remove_old_journals(self) -> None:
        for path in self._directory.glob("journal-*.arrow"):
            if path != _journal_path(self._directory):
                path.unlink()


@contextmanager
def _one_sentence_when_full(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"The disk of {directory} is full ({error.strerror}): make room and run the same command again; finished "
            "problems are kept."
        ) from error
