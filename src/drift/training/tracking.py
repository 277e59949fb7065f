"""Optional tracking with MLflow: the training log as it grows, in one run however often the training is interrupted."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drift.errors import UserError
from drift.parameters import MlflowParameters
from drift.shards import replace_durably
from drift.training.job import TrainingJob
from drift.training.processes import Processes
from drift.training_parameters import without_credentials

_RUN = "mlflow.json"
_LONGEST_VALUE = 6000


@contextmanager
def tracked(job: TrainingJob, directory: Path, processes: Processes) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Begins or continues the MLflow run of a training.

    Args:
        job: its parameters are logged.
        directory: the training's own, where the run's id is kept.
        processes: the first one tracks.

    Yields:
        What takes each row of the training log; it does nothing where nothing is tracked.

    Raises:
        UserError: when MLflow is not installed.
    """
    settings = job.training.mlflow
    if settings is None or processes.rank:
        yield lambda row: None
        return
    client, run_id = _client(settings), ""
    if (directory / _RUN).exists():
        run_id = json.loads((directory / _RUN).read_text())["run_id"]
        client.set_terminated(run_id, "RUNNING")
    else:
        run_id = _begin(client, settings, job, directory)
    try:
        yield lambda row: _log(client, run_id, row)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _client(settings: MlflowParameters) -> Any:  # noqa: ANN401
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UserError("training.mlflow needs MLflow: `pip install -e '.[mlflow]'` brings it.") from error
    return MlflowClient(tracking_uri=settings.tracking_uri)


def _begin(client: Any, settings: MlflowParameters, job: TrainingJob, directory: Path) -> str:  # noqa: ANN401
    """A new run with the job's parameters; its id is kept beside the training's states."""
    from mlflow.exceptions import MlflowException

    try:
        experiment = client.get_experiment_by_name(settings.experiment)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(settings.experiment)
        run_id = client.create_run(experiment_id, run_name=directory.name).info.run_id
    except MlflowException as error:
        raise UserError(
            f"training.mlflow: runs cannot be kept at {settings.tracking_uri or 'the default place'} "
            f"({without_credentials(str(error).splitlines()[0])}): correct tracking_uri."
        ) from error
    for name, value in {"model": job.policy.provenance["path"], **_flat(job)}.items():
        client.log_param(run_id, name, str(value)[:_LONGEST_VALUE])
    partial = directory / f".{_RUN}.partial"
    partial.write_text(json.dumps({"run_id": run_id}))
    replace_durably(partial, directory / _RUN)
    return run_id


def _flat(job: TrainingJob) -> dict[str, Any]:
    """The settings under the names they have in parameters.yml."""
    settings = {f"training.{name}": value for name, value in job.training.model_dump(exclude={"mlflow"}).items()}
    return {"seed": job.seed, "weighting.prune_below": job.prune_below, **settings}


def _log(client: Any, run_id: str, row: Mapping[str, Any]) -> None:  # noqa: ANN401
    """One row of the training log; what was not measured is left out."""
    from mlflow.entities import Metric

    stamp = int(time.time() * 1000)
    metrics = [
        Metric(name, float(value), stamp, row["step"])
        for name, value in row.items()
        if name != "step" and value is not None
    ]
    client.log_batch(run_id, metrics=metrics)
