"""The project's structure, read without running anything."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline

from drift.parameters import TOP_LEVEL_KEYS

PROJECT = Path(__file__).resolve().parents[2]
LAYERS = ["raw", "primary", "intermediate", "feature", "model_input", "models", "model_output", "reporting"]
FOLDERS = {
    "raw": "06_models",  # the reference policy: a model, but everything starts from it
    "primary": "03_primary",
    "intermediate": "02_intermediate",
    "feature": "04_feature",
    "model_input": "05_model_input",
    "models": "06_models",
    "model_output": "07_model_output",
    "reporting": "08_reporting",
}


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    bootstrap_project(PROJECT)
    from kedro.framework.project import pipelines

    return dict(pipelines)


@pytest.fixture(scope="module")
def catalog() -> dict[str, dict]:
    return yaml.safe_load((PROJECT / "conf/base/catalog.yml").read_text())


def all_of(pipelines: dict[str, Pipeline]) -> Pipeline:
    return sum(pipelines.values(), start=Pipeline([]))


def test_the_four_pipelines_make_the_default(pipelines):
    made_from_parameters = {"study", "study_so_far", "refresh"}  # tests/pipelines/test_from_parameters.py
    assert (
        set(pipelines)
        == {"__default__", "rollout", "weighting", "training", "evaluation", "plan"} | made_from_parameters
    )
    assert not any(pipelines[name].nodes for name in made_from_parameters)
    parts = [pipelines[name] for name in ("rollout", "weighting", "training", "evaluation")]
    assert set(sum(parts, start=Pipeline([])).nodes) == set(pipelines["__default__"].nodes)


def test_every_catalog_entry_is_used_and_every_dataset_has_an_entry(pipelines, catalog):
    names = {name for name in all_of(pipelines).datasets() if not name.startswith(("params:", "parameters"))}
    assert names == set(catalog)


def test_every_node_is_named_after_what_it_does(pipelines):
    for node in all_of(pipelines).nodes:
        assert node.name == f"{node.func.__name__}_node"


def test_every_catalog_entry_has_a_layer_and_lies_in_its_folder(catalog):
    for name, entry in catalog.items():
        layer = entry["metadata"]["kedro-viz"]["layer"]
        assert entry["filepath"].startswith(f"data/{FOLDERS[layer]}/{name}"), name


def test_what_a_run_makes_is_versioned(catalog):
    not_versioned = {name for name, entry in catalog.items() if not entry.get("versioned")}
    assert not_versioned == {"train_problems", "eval_problems", "reference_model"}


def test_layers_never_flow_backwards(pipelines, catalog):
    def rank(name: str) -> int:
        return LAYERS.index(catalog[name]["metadata"]["kedro-viz"]["layer"])

    for node in pipelines["__default__"].nodes:
        for source in node.inputs:
            for target in node.outputs:
                if source in catalog:
                    assert rank(source) <= rank(target), (source, target)


def test_multi_at_k_descends_from_the_problems(pipelines):
    ancestors = pipelines["__default__"].to_outputs("multi_at_k").datasets()
    chain = {"train_problems", "trajectories", "shaped_returns", "weighted_turns", "checkpoint", "eval_trajectories"}
    assert chain | {"eval_problems", "reference_model"} <= ancestors


def test_each_pipeline_starts_from_what_the_others_saved(pipelines, catalog):
    for pipeline in pipelines.values():
        assert {name for name in pipeline.inputs() if not name.startswith(("params:", "parameters"))} <= set(catalog)


def test_all_problems_are_loaded_before_anything_is_sampled(pipelines):
    order = [node.name for node in pipelines["__default__"].nodes]
    assert order.index("load_eval_problems_node") < order.index("sample_trajectories_node")


def test_every_parameter_has_a_model_and_is_read(pipelines):
    parameters = yaml.safe_load((PROJECT / "conf/base/parameters.yml").read_text())
    assert set(parameters) == set(TOP_LEVEL_KEYS)
    read = {name.removeprefix("params:") for name in all_of(pipelines).inputs() if name.startswith("params:")}
    assert read == set(TOP_LEVEL_KEYS)


def test_listing_pipelines_imports_nothing_heavy():
    script = (
        "import sys; from pathlib import Path; from kedro.framework.startup import bootstrap_project;"
        f"bootstrap_project(Path({str(PROJECT)!r})); from kedro.framework.project import pipelines; dict(pipelines);"
        "print(sorted({'torch', 'transformers', 'vllm', 'plotly', 'sympy'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_a_run_is_recorded_without_importing_anything_heavy():
    script = (
        "import sys, drift.runs.hooks; from drift.machine.machine import machine; machine();"
        "from drift.runs import code, command; code.package_versions(); code.code_version();"
        "print(sorted({'torch', 'transformers', 'vllm', 'plotly', 'sympy'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_the_stages_know_nothing_of_kedro():
    allowed = {"pipelines", "datasets", "config_loader.py"}
    for file in (PROJECT / "src/drift").rglob("*.py"):
        room = file.relative_to(PROJECT / "src/drift").parts[0]
        top = {"settings.py", "pipeline_registry.py", "hooks.py", "__main__.py"}
        if room in allowed | top or file == PROJECT / "src/drift/runs/hooks.py":
            continue
        assert "kedro" not in {
            line.split()[1].split(".")[0]
            for line in file.read_text().splitlines()
            if line.startswith(("import ", "from "))
        }, file


def test_a_full_disk_is_one_sentence_wherever_it_is_met():
    import errno

    from kedro.io.core import DatasetError

    from drift.errors import UserError
    from drift.hooks import ProjectHooks

    full = OSError(errno.ENOSPC, "No space left on device", "data/04_feature/shard-000003.parquet")
    try:
        raise DatasetError("Failed while saving data") from full
    except DatasetError as error:
        with pytest.raises(
            UserError, match=r"no room left \(data/04_feature/shard-000003.parquet\): make some and run"
        ):
            ProjectHooks().on_pipeline_error(error=error)


@pytest.mark.parametrize(
    ("outputs", "command"),
    [
        ({"trajectories"}, "kedro run --pipelines=weighting,training,evaluation --env=test --params=seed=3"),
        ({"weighted_turns"}, "kedro run --pipelines=training,evaluation --env=test --params=seed=3"),
        ({"checkpoint", "weighted_turns"}, "kedro run --pipelines=evaluation --env=test --params=seed=3"),
        (
            {"multi_at_k", "checkpoint"},
            "kedro run --pipelines=weighting,training,evaluation --env=test --params=weighting.beta=0.2,seed=3",
        ),
    ],
)
def test_the_next_command_is_that_of_the_furthest_stage_with_the_settings_of_the_run(outputs, command):
    from drift.pipelines.closing import next_step

    step = next_step(outputs, {"env": "test", "runtime_params": {"seed": 3}})
    assert step is not None and step.splitlines()[-1].removeprefix("Next: ") == command
    assert next_step({"train_problems"}, {"env": None, "runtime_params": None}) is None
