"""What happens around a run: paths are anchored, errors become one sentence, and the end says what came out."""

import atexit
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io.core import AbstractVersionedDataset, DatasetError, VersionNotFoundError

from drift.errors import UserError, disk_full
from drift.names import refuse_unknown_environment, refuse_unknown_names
from drift.parameters import TrainingParameters, WorkingDirectory, check_parameters
from drift.pipelines.from_parameters import NAMES, Planned, pipelines_from_parameters

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

logger = logging.getLogger(__name__)

_WORKING_DIRECTORY, _TRAINING = "params:working_directory", "params:training"
_LISTED_VERSIONS = 5
ENGINE_OUTPUTS = {"trajectories", "eval_trajectories"}
"""What an engine samples: a run that makes any of it keeps its engine from one stage to the next."""


class ProjectHooks:
    """The project's hooks."""

    def __init__(self) -> None:
        self._project_path = Path()
        self._loading = ""
        self._parameters: dict[str, Any] = {}
        self._planned = Planned({})
        self._ending = ExitStack()
        atexit.register(self._ending.close)  # Ctrl-C ends a run without a word to its hooks

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: "KedroContext") -> None:
        """Remembers where the project is, and refuses wrong names and parameters before Kedro builds on them."""
        self._project_path = Path(context.project_path)
        command = run_command()
        try:
            refuse_unknown_environment(Path(context.config_loader.conf_source), context.env)
            parameters = context.config_loader["parameters"]
            check_parameters(parameters)
            self._parameters = dict(parameters)
            asked = (command.params.get("pipelines") or [command.params.get("pipeline")]) if command else NAMES
            is_run = command is not None or click.get_current_context(silent=True) is None
            self._planned = pipelines_from_parameters(
                parameters, self._project_path, is_run, asked, refuse_when_run=command is None
            )
            for name, pipeline in self._planned.pipelines.items():
                pipelines[name] = pipeline
            if command is not None:
                refuse_unknown_names(command.params, dict(pipelines))
        except UserError as error:
            _raise(error)

    @hook_impl
    def after_catalog_created(self, catalog: "CatalogProtocol", load_versions: dict[str, str] | None) -> None:
        """Anchors what lies in the project, refuses versions that are not there, and adds the planned parameters."""
        for name, value in self._planned.parameters.items():
            catalog[name] = self._anchored(value) if isinstance(value, TrainingParameters) else value
        for name, version in (load_versions or {}).items():
            dataset = catalog.get(name)
            known = dataset.list_versions(full_path=False) if isinstance(dataset, AbstractVersionedDataset) else []
            if version not in known:
                _raise(UserError(f"--load-versions: `{name}` has no complete version {version}; {_listed(known)}."))
        if _WORKING_DIRECTORY in catalog:
            directory = WorkingDirectory.model_validate(catalog.load(_WORKING_DIRECTORY))
            catalog.save(_WORKING_DIRECTORY, WorkingDirectory(self._project_path / directory.root))
        if _TRAINING in catalog:
            catalog.save(_TRAINING, self._anchored(TrainingParameters.model_validate(catalog.load(_TRAINING))))

    def _anchored(self, training: TrainingParameters) -> TrainingParameters:
        """The same training with a store of MLflow that is found wherever the command was given."""
        if training.mlflow is None:
            return training
        return training.model_copy(update={"mlflow": training.mlflow.anchored(self._project_path)})

    @hook_impl
    def before_pipeline_run(self, pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
        """Says what there is of a study, and withdraws what is replaced; refuses an unusable store of MLflow early."""
        if "study_results" in pipeline.all_outputs():
            logger.info(self._planned.progress)
        self._planned.withdraw(pipeline)
        if any(name.split(".")[-1] in ENGINE_OUTPUTS for name in pipeline.all_outputs()):
            from drift.rollout.kept_engine import engine_kept

            self._ending.enter_context(engine_kept())
            self._say_how_long(pipeline)
        trainings = [name for name in pipeline.inputs() if name == _TRAINING or name.endswith(".training")]
        if not trainings:
            return
        settings = TrainingParameters.model_validate(catalog.load(trainings[0])).mlflow
        if settings:
            from drift.training.tracking import refuse_unusable_store

            try:
                refuse_unusable_store(settings)
            except UserError as error:
                _raise(error)

    def _say_how_long(self, pipeline: "Pipeline") -> None:
        """The first line; a run that it cannot be said of has none."""
        from drift.planning.first_line import first_line

        if line := first_line(self._parameters, pipeline.all_outputs(), self._project_path):
            logger.info("%s", line)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str) -> None:
        """Remembers what is being loaded, for the sentence that says it is not there."""
        self._loading = dataset_name

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """On the command line, a user's error is its sentence and nothing else."""
        self._ending.close()
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, UserError):
                _raise(cause)
        for cause in causes:
            if full := disk_full(cause):
                _raise(full)
        missing = any(isinstance(cause, VersionNotFoundError | FileNotFoundError) for cause in causes)
        if isinstance(error, DatasetError) and missing and self._loading:
            _raise(
                UserError(
                    f"There is no complete `{self._loading}` to load: run the pipeline that makes it first, or the "
                    "whole job with `kedro run`."
                )
            )

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: "Pipeline", catalog: "CatalogProtocol") -> None:
        """Ends every run with what it made, where it is, and what to do next."""
        from drift.pipelines.closing import print_closing

        self._ending.close()
        print_closing(pipeline, catalog, self._project_path, run_params)


def run_command() -> click.Context | None:
    """The `run` command that is being carried out, of Kedro or of the installed package; not Kedro-Viz's."""
    command = click.get_current_context(silent=True)
    if command is None or command.command.name != "run":
        return None
    return None if command.parent is not None and command.parent.info_name == "viz" else command


def _listed(versions: list[str]) -> str:
    """The versions there are, the latest ones if there are many."""
    if not versions:
        return "it has no versions"
    rest = f" and {len(versions) - _LISTED_VERSIONS} earlier" if len(versions) > _LISTED_VERSIONS else ""
    return f"there are {', '.join(versions[:_LISTED_VERSIONS])}{rest}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from, back to the first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _raise(error: UserError) -> NoReturn:
    """Raises an error as what the command line shows without a traceback, or as itself elsewhere."""
    if click.get_current_context(silent=True):
        raise click.ClickException(str(error)) from error
    raise error
