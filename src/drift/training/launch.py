"""Several training processes, started with torch's elastic launcher, which never import Kedro."""

import json
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from drift.errors import UserError
from drift.parameters import TrainingParameters
from drift.training.job import TrainingJob
from drift.training.session import InterruptedTraining
from drift.training.worker import ENDING

logger = logging.getLogger(__name__)

JOB = "job.json"
_LAUNCHER_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_SECONDS_TO_SAVE = 600
"""How long workers that were asked to stop may take to finish their step and save the state."""


def launch(job: TrainingJob, directory: Path, processes: int) -> None:
    """Trains a job in several processes; where there are more hosts, with theirs.

    Args:
        job: what is trained.
        directory: the training's own, which all hosts can reach.
        processes: on this host.

    Raises:
        UserError: what a worker found wrong.
        InterruptedTraining: after Ctrl-C or SIGTERM, with the state saved.
    """
    (directory / ENDING).unlink(missing_ok=True)
    job.save(directory / JOB)
    if job.training.hosts > 1:
        logger.info("On each of the other hosts run: %s", command_of_other_hosts(job.training, processes, directory))
    try:
        with _handlers_kept(), _threads_shared(processes):
            elastic_launch(_config(job.training, processes, directory), sys.executable)(
                "-m", "drift.training.worker", str(directory / JOB)
            )
    except (ChildFailedError, SignalException) as error:
        _raise_ending(directory, error)
    _raise_ending(directory, None)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """The launcher leaves its own handlers of signals behind; what comes after the training has others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _LAUNCHER_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _threads_shared(processes: int) -> Iterator[None]:
    """Workers share the cores, unless the user has said how many threads they shall have."""
    if "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


def _config(training: TrainingParameters, processes: int, directory: Path) -> LaunchConfig:
    return LaunchConfig(
        min_nodes=training.hosts,
        max_nodes=training.hosts,
        nproc_per_node=processes,
        run_id=directory.name,
        rdzv_backend="c10d",
        rdzv_endpoint=training.rendezvous or "localhost:0",
        max_restarts=0,
        shutdown_timeout=_SECONDS_TO_SAVE,
    )


def command_of_other_hosts(training: TrainingParameters, processes: int, directory: Path) -> str:
    """What is typed on every other host: the same worker under `torchrun`."""
    return shlex.join(
        [
            "torchrun",
            f"--nnodes={training.hosts}",
            f"--nproc-per-node={processes}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={training.rendezvous}",
            f"--rdzv-id={directory.name}",
            f"--shutdown-timeout={_SECONDS_TO_SAVE}",
            "-m",
            "drift.training.worker",
            str(directory / JOB),
        ]
    )


def _raise_ending(directory: Path, error: BaseException | None) -> None:
    """Raises what the workers have left word of, or what the launcher saw."""
    ending = json.loads((directory / ENDING).read_text()) if (directory / ENDING).exists() else {}
    if "error" in ending:
        raise UserError(ending["error"]) from error
    if "interrupted" in ending:
        raise InterruptedTraining(ending["interrupted"], ending["signal"]) from error
    if isinstance(error, ChildFailedError):
        rank, failure = error.get_first_failure()
        raise UserError(
            f"Training process {rank} died (exit code {failure.exitcode}): its output is above; run the same command "
            "again to continue."
        ) from error
    if isinstance(error, SignalException):
        raise InterruptedTraining(
            f"Interrupted before a step was made; the same command continues with what is kept in {directory}.",
            int(error.sigval),
        ) from error
