"""Kedro's hooks that keep the record of a run: begun before its first node, finished however it ends."""

import atexit
import logging
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset

from drift.errors import UserError
from drift.parameters import complete_parameters
from drift.runs.record import RunRecord, mark_killed, node_records

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)

RUNS = Path("data/08_reporting/runs")


class RunRecordHooks:
    """Writes `data/08_reporting/runs/<session id>.json`.

    What is refused before its first node (a wrong parameter, a name that does not exist) was no run, and has no record.
    """

    def __init__(self) -> None:
        self._project_path = Path()
        self._parameters: dict[str, Any] = {}
        self._environment = ""
        self._entries: dict[str, dict[str, Any]] = {}
        self._catalog: CatalogProtocol | None = None
        self._record: RunRecord | None = None
        self._unsaved: dict[str, set[str]] = {}
        self._process = 0
        atexit.register(self._interrupted)

    @hook_impl
    def after_context_created(self, context: "KedroContext") -> None:
        """Remembers the parameters, with the command line's overrides, and the environment."""
        loader = context.config_loader
        self._project_path = Path(context.project_path)
        self._parameters = dict(loader["parameters"])
        self._environment = str(context.env or getattr(loader, "default_run_env", None) or "base")

    @hook_impl
    def after_catalog_created(self, catalog: "CatalogProtocol", conf_catalog: dict[str, Any]) -> None:
        """Remembers where the datasets are."""
        self._catalog = catalog
        self._entries = {name: entry for name, entry in conf_catalog.items() if "filepath" in entry}

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: "Pipeline") -> None:
        """Begins the record, and marks those of runs that were killed."""
        from drift.machine.machine import machine
        from drift.runs.code import code_version, package_versions
        from drift.runs.command import given_command

        self._interrupted()
        for session_id in mark_killed(self._directory):
            logger.info("The run %s was killed; its record says so now.", session_id)
        self._process = os.getpid()
        self._unsaved = {node.name: set(node.outputs) for node in pipeline.nodes}
        self._record = RunRecord(
            session_id=run_params["run_id"],
            command=given_command(run_params),
            environment=self._environment,
            pipelines=sorted(run_params["pipeline_names"] or ["__default__"]),
            overrides=run_params["runtime_params"] or {},
            parameters=complete_parameters(self._parameters),
            code=code_version(),
            packages=package_versions(),
            machine=machine(),
            nodes=node_records(node.name for node in pipeline.nodes),
        )
        self._record.write(self._directory)

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self, node: "Node") -> None:
        """A node begins when its first input is loaded."""
        self._begin(node)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: "Node") -> None:
        """A node without inputs begins when it runs."""
        self._begin(node)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:  # noqa: ANN401
        """Notes the version that was loaded.

        Raises:
            UserError: when another run has replaced what this run had saved, and there are no versions to go by.
        """
        if (record := self._own_record()) and dataset_name in self._entries:
            loaded = self._identity(dataset_name, data, "load")
            saved = record.saved.get(dataset_name)
            if saved and "fingerprint" in saved and saved["fingerprint"] != loaded["fingerprint"]:
                raise UserError(
                    f"Another run has replaced `{dataset_name}` ({loaded['path']}) while this one was running: run "
                    "the same command again, and give runs that differ in it a copy of the project each."
                )
            record.loaded[dataset_name] = loaded

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: "Node") -> None:  # noqa: ANN401
        """Notes the version that was saved; a node ends with its last output, because some are made while saved."""
        if record := self._own_record():
            if dataset_name in self._entries:
                record.saved[dataset_name] = self._identity(dataset_name, data, "save")
            self._unsaved[node.name].discard(dataset_name)
            if not self._unsaved[node.name]:
                record.end_node(node.name)
                record.write(self._directory)

    @hook_impl(wrapper=True, tryfirst=True)
    def on_pipeline_error(self, error: Exception) -> Generator[None, Any, Any]:
        """Ends the record of a run that failed with the sentence that the other hooks make of the error."""
        try:
            result = yield
        except Exception as raised:
            self._end("failed", str(raised))
            raise
        self._end("failed", f"{type(error).__name__}: {error}")
        return result

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Ends the record of a run that succeeded."""
        self._end("succeeded")

    def _interrupted(self) -> None:
        """Ends the record of a run that ended without a word to its hooks: Ctrl-C."""
        self._end("interrupted")

    def _end(self, outcome: Any, error: str | None = None) -> None:  # noqa: ANN401
        if record := self._own_record():
            record.end(outcome, error)
            self._record = None
            try:
                record.write(self._directory)
            except OSError as full:  # how the run ended matters more
                logger.warning("The record of this run could not be finished: %s", full)

    def _begin(self, node: "Node") -> None:
        if (record := self._own_record()) and record.begin_node(node.name):
            record.write(self._directory)

    def _own_record(self) -> RunRecord | None:
        """The record, in the process that keeps it: worker processes have a copy that nobody must write."""
        return self._record if os.getpid() == self._process else None

    @property
    def _directory(self) -> Path:
        return self._project_path / RUNS

    def _identity(self, dataset_name: str, data: Any, what: Literal["load", "save"]) -> dict[str, Any]:  # noqa: ANN401
        """What a dataset was when it was loaded or saved: its version or, where it has none, its content's name."""
        from drift.fingerprint import files_fingerprint

        entry = self._entries[dataset_name]
        path = Path(entry["filepath"])
        shown = str(path.relative_to(self._project_path)) if path.is_relative_to(self._project_path) else str(path)
        dataset = self._catalog.get(dataset_name) if self._catalog is not None else None
        if entry.get("versioned") and isinstance(dataset, AbstractVersionedDataset):
            version = dataset.resolve_load_version() if what == "load" else dataset.resolve_save_version()
            return {"path": shown, "version": version}
        if path.is_file():
            return {"path": shown, "fingerprint": files_fingerprint([path])}
        return {"path": shown, "fingerprint": getattr(data, "fingerprint", None)}
