"""One of several training processes: `python -m drift.training.worker JOB.json`, under torch's elastic launcher.

    torchrun --nnodes=2 --nproc-per-node=8 … -m drift.training.worker JOB.json

The training node starts the workers of its own host this way, and prints the command for the others. Workers never
import Kedro. The result, or the sentence that says why there is none, lies beside the job.
"""

import json
import logging
import os
import sys
from pathlib import Path

from torch import distributed

from drift.errors import UserError, disk_full
from drift.parent_death import die_with
from drift.shards import replace_durably
from drift.training.examples import read_examples
from drift.training.job import TrainingJob
from drift.training.processes import Processes
from drift.training.session import InterruptedTraining, train

ENDING = "ending.json"


def main(path: Path) -> int:
    """Takes part in the training of a job; returns the exit status."""
    die_with(os.getppid())
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    job, processes = TrainingJob.load(path), Processes.join()
    try:
        train(job, read_examples(job.data()), path.parent, processes)
    except UserError as error:
        return _end(path.parent, {"error": str(error)}, 1)
    except InterruptedTraining as stop:
        return _end(path.parent, {"interrupted": str(stop), "signal": stop.number}, 128 + stop.number)
    except OSError as error:
        full = disk_full(error)
        if full is None:
            raise
        return _end(path.parent, {"error": str(full)}, 1)
    distributed.destroy_process_group()
    return 0


def _end(directory: Path, ending: dict[str, object], status: int) -> int:
    """Leaves word of how it ended; every process says the same."""
    partial = directory / f".{ENDING}.{os.getpid()}.partial"
    partial.write_text(json.dumps(ending))
    replace_durably(partial, directory / ENDING)
    return status


if __name__ == "__main__":
    status = main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(status)  # without waiting for the collectives of processes that are ending too
