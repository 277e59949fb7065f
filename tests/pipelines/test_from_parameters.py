"""Studies and refreshes as they are planned from the parameters, without running anything."""

import json
from pathlib import Path

import pytest
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from drift.errors import UserError
from drift.pipelines.from_parameters import pipelines_from_parameters, progress_of_study
from drift.study.design import cells_of, result_path

PROJECT = Path(__file__).resolve().parents[2]
BOTH = ("study", "refresh")


@pytest.fixture
def parameters():
    base = yaml.safe_load((PROJECT / "conf/base/parameters.yml").read_text())
    chosen = [*base["study"]["chosen"], "refreshed", "sft_solutions"]
    formats = {
        "model": base["model"] | {"dtype": "float32"},
        "training": base["training"] | {"precision": "float32"},
    }
    return {
        **base,
        **formats,
        "study": {**base["study"], "seeds": [0, 1], "chosen": chosen, "sweeps": {"beta": [0.05]}},
    }


@pytest.fixture
def study(parameters, tmp_path):
    return pipelines_from_parameters(parameters, tmp_path, skip_finished=True, wanted=BOTH)


def nodes_of(pipeline):
    return [node.name for node in pipeline.nodes]


def test_each_seed_samples_once_whatever_the_variants(study):
    sampling = [name for name in nodes_of(study.pipelines["study"]) if name.endswith(".sample_trajectories_node")]
    later = [name for name in sampling if ".refreshed." in name]
    assert sorted(set(sampling) - set(later)) == [
        "main.seed_0.sample_trajectories_node",
        "main.seed_1.sample_trajectories_node",
    ]
    assert len(later) == 2  # the second round of `refreshed`, with each seed


def test_every_cell_is_trained_and_evaluated(study, parameters):
    names = nodes_of(study.pipelines["study"])
    for cell in cells_of(parameters):
        for stage in ("train_policy_node", "evaluate_policies_node", "score_node", "summarize_cell_node"):
            assert f"{cell.namespace}.{stage}" in names


def test_a_later_round_goes_on_from_the_policy_of_the_one_before(study):
    refresh = study.pipelines["refresh"]
    assert {name for name in refresh.inputs() if not name.startswith("params:")} == set()
    of = {node.name: node for node in refresh.nodes}
    for stage in ("sample_trajectories_node", "train_policy_node"):
        assert "reference_model" in of[f"refresh.round_1.{stage}"].inputs
        assert "refresh.round_1.checkpoint" in of[f"refresh.round_2.{stage}"].inputs
    assert {"reference_model", "refresh.round_2.checkpoint"} <= set(of["refresh.evaluate_policies_node"].inputs)


def test_rounds_share_the_steps(study, parameters):
    steps = [study.parameters[f"params:refresh.round_{number}.training"].steps for number in (1, 2)]
    assert sum(steps) == parameters["training"]["steps"]


def test_all_parameters_that_are_planned_are_read_and_all_that_are_read_are_there(study, parameters):
    read = {name for pipeline in study.pipelines.values() for name in pipeline.inputs() if name.startswith("params:")}
    assert read - {f"params:{key}" for key in parameters} == set(study.parameters)


def test_a_cell_that_is_done_is_left_out_and_its_result_is_read(parameters, tmp_path):
    cells = cells_of(parameters)
    for cell in cells[:-1]:
        path = result_path(tmp_path / "data/08_reporting", cell.namespace)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"facts": cell.facts}))
    left = pipelines_from_parameters(parameters, tmp_path, skip_finished=True, wanted=BOTH)
    assert [name for name in nodes_of(left.pipelines["study"]) if name.endswith("train_policy_node")] == [
        f"{cells[-1].namespace}.train_policy_node"
    ]
    assert {f"{cell.namespace}.cell" for cell in cells[:-1]} <= left.pipelines["study"].inputs()
    assert f"{len(cells) - 1} of {len(cells)} results are there; to do: beta_0_05 (seed 1)" in left.progress


def test_a_study_that_is_done_says_so_and_makes_only_its_tables(parameters):
    cells = cells_of(parameters)
    assert "is done: all 18 of its results are there" in progress_of_study(cells, [], [])
    from drift.pipelines.study.pipeline import create_pipeline

    assert nodes_of(create_pipeline(cells, [])) == [
        "main.tabulate_study_node",
        "main.draw_study_node",
        "main.write_study_report_node",
    ]


def test_everything_a_study_makes_has_a_place_of_its_own():
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT) as session:
        catalog = session.load_context().catalog
        from kedro.framework.project import pipelines

        cell = cells_of(session.load_context().params)[0]
        assert result_path(PROJECT / "data/08_reporting", cell.namespace) == Path(
            catalog.get(f"{cell.namespace}.cell")._filepath
        )
        for name in ("study", "refresh"):
            datasets = {name for name in pipelines[name].datasets() if not name.startswith("params:")}
            assert len(datasets) > 10
            places = {str(catalog.get(dataset)._filepath) for dataset in datasets}
            assert len(places) == len(datasets)
            assert all(
                parameter in catalog for parameter in pipelines[name].inputs() if parameter.startswith("params:")
            )


def test_the_tables_of_what_is_done_so_far(parameters, tmp_path):
    with pytest.raises(UserError, match="has no results of these settings yet"):
        pipelines_from_parameters(parameters, tmp_path, skip_finished=True, wanted=["study_so_far"])
    done = cells_of(parameters)[::2]
    for cell in done:
        path = result_path(tmp_path / "data/08_reporting", cell.namespace)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"facts": cell.facts}))
    made = pipelines_from_parameters(parameters, tmp_path, skip_finished=True, wanted=["study_so_far"])
    so_far = made.pipelines["study_so_far"]
    assert {name for name in so_far.inputs() if name.endswith(".cell")} == {f"{cell.namespace}.cell" for cell in done}
    assert len(so_far.nodes) == 3 and not made.parameters
    assert "the tables of 9 of its 18 results" in made.progress


def test_only_what_is_asked_for_is_made_and_looked_at(parameters, tmp_path):
    one_step = {**parameters, "training": {**parameters["training"], "steps": 1}}
    with pytest.raises(UserError, match=r"2 rounds cannot share 1 training\.steps"):
        pipelines_from_parameters(one_step, tmp_path, skip_finished=True, wanted=BOTH)
    made = pipelines_from_parameters(one_step, tmp_path, skip_finished=True, wanted=["training"])
    assert not made.pipelines and not made.parameters


def test_a_result_of_other_settings_is_replaced_and_that_is_said(parameters, tmp_path):
    cell = cells_of(parameters)[0]
    path = result_path(tmp_path / "data/08_reporting", cell.namespace)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"facts": {**cell.facts, "seed": 7}}))
    made = pipelines_from_parameters(parameters, tmp_path, skip_finished=True, wanted=BOTH)
    assert "(1 results of other settings are replaced; another study.name keeps both)" in made.progress
    made.withdraw(made.pipelines["study"].only_nodes("main.tabulate_study_node"))
    assert path.is_file()  # tables alone replace nothing
    made.withdraw(made.pipelines["study"].only_nodes(f"{cell.namespace}.train_policy_node"))
    assert not path.exists()  # what trains anew must not leave the old result beside its checkpoint


def test_solutions_need_no_trajectories(parameters, tmp_path):
    chosen = {**parameters["study"], "chosen": ["sft_solutions"], "sweeps": {}, "baseline": "sft_solutions"}
    made = pipelines_from_parameters({**parameters, "study": chosen}, tmp_path, skip_finished=True, wanted=BOTH)
    names = nodes_of(made.pipelines["study"])
    assert not any(name.endswith("sample_trajectories_node") for name in names)
    assert "main.seed_0.sft_solutions.examples_of_solutions_node" in names


def test_later_rounds_have_noise_of_their_own(study, parameters):
    of = {node.name: node for node in study.pipelines["refresh"].nodes}
    assert "params:seed" in of["refresh.round_1.sample_trajectories_node"].inputs
    assert "params:refresh.round_2.seed" in of["refresh.round_2.sample_trajectories_node"].inputs
    assert study.parameters["params:refresh.round_2.seed"].root != parameters["seed"]


def test_parameters_that_only_another_pipeline_cannot_use_do_not_stop_a_run(parameters, tmp_path):
    one_step = {**parameters, "training": {**parameters["training"], "steps": 1}}
    made = pipelines_from_parameters(one_step, tmp_path, skip_finished=True, refuse_when_run=True)
    refusal = made.pipelines["refresh"].nodes
    with pytest.raises(UserError, match=r"2 rounds cannot share 1 training\.steps"):
        refusal[0].run()


def test_a_session_that_runs_what_cannot_be_made_is_told_why():
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, runtime_params={"training": {"steps": 1}}) as session:
        session.load_context()  # and whoever uses none of it is not disturbed
    with (
        KedroSession.create(PROJECT, runtime_params={"training": {"steps": 1}}) as session,
        pytest.raises(UserError, match=r"2 rounds cannot share 1 training\.steps"),
    ):
        session.run(pipeline_names=["refresh"])
