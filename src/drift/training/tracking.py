"""Optional tracking with MLflow: the training log as it grows, in one run however often the training is interrupted.

A run that is killed outright stays RUNNING until the training goes on. Once training has begun, tracking never ends it:
rows the store does not take are kept and offered again.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift.errors import UserError
from drift.parameters import MlflowParameters
from drift.shards import replace_durably
from drift.training_parameters import without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from drift.training.job import TrainingJob
    from drift.training.processes import Processes

logger = logging.getLogger(__name__)

_RUN = "mlflow.json"
_LONGEST_VALUE = 6000
_ROWS_AT_ONCE = 50
"""Rows of one request; MLflow takes 1,000 numbers in one."""
_SECONDS_BETWEEN, _SECONDS_AFTER_FAILURE = 2.0, 30.0
"""Least time from one request to the next, so that short steps do not wait for the store; doubled by every failure."""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing about a user's project leaves the machine
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # its own 7 keep a training waiting for minutes when a server is gone
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""What MLflow shall do where the user's environment does not say."""

Track = Callable[[Sequence[Mapping[str, Any]]], None]


def refuse_unusable_store(settings: MlflowParameters) -> None:
    """Ends with a sentence, before anything is computed, where a training could not be tracked.

    Raises:
        UserError: when MLflow is not installed or its store cannot be used.
    """
    with _refusing(settings):
        _client(settings).get_experiment_by_name(settings.experiment)


@contextmanager
def tracked(
    job: "TrainingJob",
    directory: Path,
    result: Path,
    processes: "Processes",
    interruptions: tuple[type[BaseException], ...],
) -> Iterator[Track]:
    """Begins or continues the MLflow run of a training; at the end it says how the training ended.

    Args:
        job: its parameters are logged, as they are at the beginning.
        directory: the training's own, where the run's id is kept.
        result: where the result will lie.
        processes: the first one tracks.
        interruptions: what is raised when someone stops the training.

    Yields:
        What takes the training log so far; it does nothing where nothing is tracked.

    Raises:
        UserError: when MLflow is not installed or its store cannot be used.
    """
    settings = job.training.mlflow
    if settings is None or processes.rank:
        yield lambda log: None
        return
    with _refusing(settings):
        client = _client(settings)
        run_id = _continued(client, settings, directory) or _begun(client, settings, job, directory)
        steps = {metric.step for metric in client.get_metric_history(run_id, "loss")}
    run = _Run(client, run_id, steps)
    try:
        yield run.track
    except BaseException as error:
        run.end("KILLED" if isinstance(error, interruptions) else "FAILED", {})
        raise
    run.end("FINISHED", {"result": str(result)})


@dataclass
class _Run:
    """A run, and what it has of the training log.

    Attributes:
        client: of its store.
        run_id: its name there.
        steps: those it has; steps made again after a kill are not logged again.
        log: the training log as it was last seen.
        failures: requests in a row that failed.
        not_before: moment of the next request, of the monotonic clock.
    """

    client: "MlflowClient"
    run_id: str
    steps: set[int]
    log: Sequence[Mapping[str, Any]] = ()
    failures: int = 0
    not_before: float = field(default_factory=time.monotonic)

    def track(self, log: Sequence[Mapping[str, Any]]) -> None:
        """Sends the rows the run does not have, now or, where the last request was just now, later."""
        self.log = log
        if time.monotonic() >= self.not_before:
            self._try(self._send)

    def end(self, status: str, tags: Mapping[str, str]) -> None:
        """Sends what is left and says how it ended."""
        self._try(lambda: self._end(status, tags))
        missing = sum(row["step"] not in self.steps for row in self.log)
        if self.failures:
            logger.warning(
                "MLflow has not been told that run %s is %s; %d steps are missing there", self.run_id, status, missing
            )

    def _end(self, status: str, tags: Mapping[str, str]) -> None:
        self._send()
        for name, value in tags.items():
            self.client.set_tag(self.run_id, name, value)
        self.client.set_terminated(self.run_id, status)

    def _send(self) -> None:
        from mlflow.entities import Metric

        rows = [row for row in self.log if row["step"] not in self.steps]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part, now = rows[start : start + _ROWS_AT_ONCE], int(time.time() * 1000)
            metrics = [Metric(name, value, now, row["step"]) for row in part for name, value in _numbers(row).items()]
            self.client.log_batch(self.run_id, metrics=metrics)
            self.steps.update(row["step"] for row in part)

    def _try(self, action: Callable[[], None]) -> None:
        """Does what needs the store; what goes wrong there is said once and costs the training nothing else."""
        try:
            action()
        except Exception as error:  # a store fails in ways of its own, and none is worth a training
            if not self.failures:
                logger.warning("MLflow does not answer, training goes on without it: %s", _first_line(error))
            self.failures += 1
            self.not_before = time.monotonic() + _SECONDS_AFTER_FAILURE * 2 ** (self.failures - 1)
        else:
            self.failures = 0
            self.not_before = time.monotonic() + _SECONDS_BETWEEN


@contextmanager
def _refusing(settings: MlflowParameters) -> Iterator[None]:
    """What goes wrong at the store before training is the user's to put right."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each kind of store (a database, a server, a plug-in) has errors of its own
        place = settings.tracking_uri or "MLflow's default place (MLFLOW_TRACKING_URI)"
        raise UserError(
            f"training.mlflow: runs cannot be kept at {place} ({_first_line(error)}): set training.mlflow.tracking_uri "
            "to a database such as sqlite:///data/mlflow.db or to the address of a server that runs."
        ) from error


def _first_line(error: Exception) -> str:
    return without_credentials((str(error).splitlines() or [type(error).__name__])[0].rstrip("."))


def _client(settings: MlflowParameters) -> "MlflowClient":
    """MLflow's client of the store.

    Raises:
        UserError: when MLflow is not installed.
    """
    if find_spec("mlflow") is None:
        raise UserError("training.mlflow needs MLflow, which is not installed: `pip install -e '.[mlflow]'` brings it.")
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    uri = settings.tracking_uri or mlflow.get_tracking_uri()
    _connect_once(uri)
    return mlflow.MlflowClient(tracking_uri=uri)


def _connect_once(uri: str) -> None:
    """Opens a database; MLflow would try for a hundred seconds to open one that cannot be opened."""
    from mlflow.store.db.db_types import DATABASE_ENGINES

    if uri.partition(":")[0].partition("+")[0] not in DATABASE_ENGINES:
        return
    from sqlalchemy import create_engine, inspect

    engine = create_engine(uri)
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    inspect(engine).get_table_names()
    engine.dispose()


def _continued(client: "MlflowClient", settings: MlflowParameters, directory: Path) -> str | None:
    """The run an earlier process has begun in the same store; None where there is none, or none any more."""
    from mlflow.exceptions import MlflowException

    note = json.loads((directory / _RUN).read_text()) if (directory / _RUN).exists() else {}
    if note.get("tracking_uri") != settings.tracking_uri or "run_id" not in note:
        return None
    run_id = str(note["run_id"])
    try:
        if client.get_run(run_id).info.lifecycle_stage == "deleted":
            return None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    client.update_run(run_id, status="RUNNING")
    return run_id


def _begun(client: "MlflowClient", settings: MlflowParameters, job: "TrainingJob", directory: Path) -> str:
    """A new run with the job's parameters; its id is kept beside the training's states."""
    from mlflow.entities import Param

    experiment = client.get_experiment_by_name(settings.experiment)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(settings.experiment)
    run_id = client.create_run(experiment_id, run_name=directory.name, tags={"directory": str(directory)}).info.run_id
    params = [Param(name, str(value)[:_LONGEST_VALUE]) for name, value in _settings(job).items()]
    client.log_batch(run_id, params=params)
    partial = directory / f".{_RUN}.partial"
    partial.write_text(json.dumps({"run_id": run_id, "tracking_uri": settings.tracking_uri}))
    replace_durably(partial, directory / _RUN)
    return run_id


def _settings(job: "TrainingJob") -> dict[str, Any]:
    """What decides the training, under the names it has in parameters.yml."""
    import pandas as pd

    nested = {
        "seed": job.seed,
        "model": job.model.model_dump(),
        "training": job.training.model_dump(exclude={"mlflow"}),
        "weighting": {"prune_below": job.prune_below},
    }
    return {str(name): value for name, value in pd.json_normalize(nested).iloc[0].items()}


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of the training log without its step and without what was not measured."""
    return {name: float(value) for name, value in row.items() if name != "step" and value is not None}
