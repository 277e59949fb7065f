"""Saved states of an unfinished training: whole or not there, checked before they are used, the last two kept.

Weights and optimiser state are written by torch's distributed checkpointing, each process its own shards, and can be
read by any number of processes. A state appears by a rename; digests of its files tell one that has been damaged.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed import checkpoint
from torch.distributed.checkpoint.api import CheckpointException

from drift.errors import UserError
from drift.fingerprint import files_fingerprint
from drift.shards import replace_durably
from drift.training.processes import Processes

logger = logging.getLogger(__name__)

_NOTE, _LOG = "state.json", "log.json"
_KEPT = 2


@dataclass(frozen=True)
class States:
    """The states in a directory that all processes can reach.

    Attributes:
        directory: where they are.
        processes: who saves and loads.
    """

    directory: Path
    processes: Processes

    def save(self, step: int, tensors: dict[str, torch.Tensor], log: Sequence[Mapping[str, Any]]) -> Path:
        """Saves the state after a step and removes all but the last two.

        Args:
            step: number of steps that were made.
            tensors: what the training is made of, by name; sharded tensors are saved shard by shard.
            log: the rows of the training log so far.
        """
        target = self._path(step)
        partial = target.with_name(f".{target.name}.partial")
        if self.processes.rank == 0:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        self.processes.wait()
        with self._quiet(), _plain_errors():
            writer = checkpoint.FileSystemWriter(partial)
            checkpoint.save(dict(tensors), storage_writer=writer, no_dist=self.processes.size == 1)
        self.processes.wait()
        if self.processes.rank == 0:
            (partial / _LOG).write_text(json.dumps(list(log)))
        self.processes.wait()
        digests = self._digests(partial)
        if self.processes.rank == 0:
            (partial / _NOTE).write_text(json.dumps({"step": step, "digests": digests}))
            shutil.rmtree(target, ignore_errors=True)
            replace_durably(partial, target)
            for older in self.paths()[:-_KEPT]:
                shutil.rmtree(older)
        self.processes.wait()
        return target

    def load(self, tensors: dict[str, torch.Tensor]) -> tuple[int, list[dict[str, Any]]]:
        """Fills tensors in place from the last state that is whole.

        Args:
            tensors: as they were saved, by name; of any number of processes.

        Returns:
            The step it was saved after and the log until then; 0 and nothing when there is no whole state.
        """
        for path in reversed(self.paths()):
            if self._is_whole(path):
                with self._quiet(), _plain_errors():
                    reader = checkpoint.FileSystemReader(path)
                    checkpoint.load(dict(tensors), storage_reader=reader, no_dist=self.processes.size == 1)
                return _step(path), json.loads((path / _LOG).read_text())
            if self.processes.rank == 0:
                logger.warning("The saved state %s is damaged; the one before it is used.", path)
        return 0, []

    def paths(self) -> list[Path]:
        """The states, in the order of their steps."""
        return sorted(self.directory.glob("state-*"))

    def clear(self) -> None:
        """Removes all states, once they are not needed any more."""
        if self.processes.rank == 0:
            for path in [*self.paths(), *self.directory.glob(".state-*.partial")]:
                shutil.rmtree(path)

    def refuse_full_disk(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Refuses a disk that cannot hold the states: those kept and one that is being written.

        Raises:
            UserError: when there is not enough room.
        """
        needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) * (_KEPT + 1)
        free = shutil.disk_usage(self.directory).free + sum(
            file.stat().st_size for path in self.paths() for file in path.iterdir()
        )
        if free < needed:
            raise UserError(
                f"The disk of {self.directory} has {free / 2**30:.1f} GiB free, and the states of this training need "
                f"{needed / 2**30:.1f} GiB: make room, or set working_directory to another disk."
            )

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Without torch's reminder that one process is alone, which it was told."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            yield

    def _path(self, step: int) -> Path:
        return self.directory / f"state-{step:08d}"

    def _digests(self, path: Path) -> dict[str, str | None]:
        """Digest of each file of a state but the note, None where it cannot be read; each process reads its share."""
        files = sorted(file for file in path.iterdir() if file.name != _NOTE)
        mine = {file.name: _digest(file) for file in files[self.processes.rank :: self.processes.size]}
        digests: dict[str, str | None] = {}
        for share in self.processes.gather(mine):
            digests |= share
        return digests

    def _is_whole(self, path: Path) -> bool:
        """Whether a state is as it was saved; all processes come to the same answer."""
        try:
            note = json.loads((path / _NOTE).read_text())
            as_noted = (note["step"] == _step(path), note["digests"])
        except (ValueError, KeyError, OSError):
            as_noted = (False, {})
        found = self._digests(path)
        return all(self.processes.gather(as_noted == (True, found)))


def _digest(file: Path) -> str | None:
    try:
        return files_fingerprint([file])
    except OSError:
        return None


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Torch wraps what went wrong in a process, a full disk for instance, in an exception that nothing catches."""
    try:
        yield
    except CheckpointException as error:
        raise next(iter(error.failures.values()))[0] from error


def _step(path: Path) -> int:
    return int(path.name.removeprefix("state-"))
