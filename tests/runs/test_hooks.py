"""The hooks that keep a run's record, called as Kedro calls them, with a real catalog."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from drift.errors import UserError
from drift.runs.hooks import RUNS, RunRecordHooks

PARAMETERS = yaml.safe_load((Path(__file__).resolve().parents[2] / "conf/base/parameters.yml").read_text())
SESSION = "2026-01-01T00.00.00.000Z"


def make():
    """Makes both outputs."""


def use(plain, kept):
    """Uses them."""


MAKE, USE = node(make, None, ["plain", "kept"], name="make"), node(use, ["plain", "kept"], "other", name="use")


class Run:
    """A run whose events a test brings about."""

    def __init__(self, path: Path) -> None:
        self.path = path
        kind = "drift.datasets.whole_files.JSONDataset"
        self.entries = {
            "plain": {"type": kind, "filepath": str(path / "data/plain.json")},
            "kept": {"type": kind, "filepath": str(path / "data/kept.json"), "versioned": True},
        }
        self.catalog = DataCatalog.from_config(self.entries, save_version=SESSION)
        manager = _create_hook_manager()
        manager.register(RunRecordHooks())
        self.hook = manager.hook
        context = SimpleNamespace(project_path=path, env="test", config_loader={"parameters": PARAMETERS})
        self.hook.after_context_created(context=context)
        self.hook.after_catalog_created(
            catalog=self.catalog,
            conf_catalog=self.entries,
            conf_creds={},
            parameters={},
            save_version=SESSION,
            load_versions={},
        )
        run_params = {"run_id": SESSION, "pipeline_names": None, "runtime_params": {"seed": 1}, "env": "test"}
        self.events = {"run_params": run_params, "pipeline": Pipeline([MAKE, USE]), "catalog": self.catalog}
        self.hook.before_pipeline_run(**self.events)

    def make(self) -> None:
        self.hook.before_node_run(node=MAKE, catalog=self.catalog, inputs={}, is_async=False, run_id=SESSION)
        for name in ("plain", "kept"):
            self.catalog.save(name, {"made": name})
            self.hook.after_dataset_saved(dataset_name=name, data={}, node=MAKE)

    def load(self, name: str) -> None:
        self.hook.before_dataset_loaded(dataset_name=name, node=USE)
        self.hook.after_dataset_loaded(dataset_name=name, data=self.catalog.load(name), node=USE)

    @property
    def record(self) -> dict:
        return json.loads((self.path / RUNS / f"{SESSION}.json").read_text())


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path)


def test_versions_are_recorded_and_a_content_is_named_where_there_are_none(run):
    run.make()
    run.load("plain")
    run.load("kept")
    run.hook.after_pipeline_run(**run.events, run_result={})
    record = run.record
    assert record["saved"]["kept"] == {"path": "data/kept.json", "version": SESSION}
    assert len(record["saved"]["plain"]["fingerprint"]) == 16
    assert record["loaded"] == record["saved"]
    assert (record["outcome"], record["environment"], record["overrides"]) == ("succeeded", "test", {"seed": 1})


def test_a_node_has_ended_when_its_last_output_is_saved(run):
    run.hook.before_node_run(node=MAKE, catalog=run.catalog, inputs={}, is_async=False, run_id=SESSION)
    run.hook.after_dataset_saved(dataset_name="plain", data={}, node=MAKE)
    assert [made["status"] for made in run.record["nodes"]] == ["running", "waiting"]
    run.hook.after_dataset_saved(dataset_name="kept", data={}, node=MAKE)
    assert [made["status"] for made in run.record["nodes"]] == ["succeeded", "waiting"]


def test_what_another_run_has_replaced_meanwhile_is_not_gone_on_with(run):
    run.make()
    run.load("plain")
    DataCatalog.from_config(run.entries).save("plain", {"made": "by another run"})
    with pytest.raises(
        UserError, match=r"Another run has replaced `plain` \(data/plain.json\) while this one was runn"
    ):
        run.load("plain")
    run.load("kept")


def test_the_sentence_of_an_error_is_that_which_the_other_hooks_make_of_it(run):
    error = RuntimeError("out of paper")
    run.hook.on_pipeline_error(error=error, **run.events)
    assert (run.record["outcome"], run.record["error"]) == ("failed", "RuntimeError: out of paper")


def test_a_run_that_ended_without_a_word_is_interrupted_when_the_next_begins(run, tmp_path):
    run.make()
    run.load("plain")
    run.events["run_params"]["run_id"] = "2026-01-02T00.00.00.000Z"
    run.hook.before_pipeline_run(**run.events)
    assert run.record["outcome"] == "interrupted"
    assert [made["status"] for made in run.record["nodes"]] == ["succeeded", "interrupted"]
