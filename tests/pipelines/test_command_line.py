"""What a user sees on the command line: the usual commands work, and what is wrong is one sentence."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file


def sentence(result) -> str:
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    return result.stderr.splitlines()[-1] if result.stderr else result.stdout


def test_registry_list_names_the_pipelines(kedro):
    names = "__default__ evaluation plan refresh rollout study study_so_far training weighting"
    assert kedro("registry", "list").stdout.split() == [word for name in names.split() for word in ("-", name)]


def test_a_wrong_parameter_is_one_sentence(kedro):
    assert "rollout.n: input should be greater than or equal to 1, not 0" in sentence(
        kedro("run", "--params=rollout.n=0")
    )


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "--env=tset",
            "--env: there is no environment 'tset'; did you mean test? There are: base, llama3.1-8b, local, mlflow, ",
        ),
        ("--nodes=score", "--nodes: there is no node 'score'; did you mean score_node? There are: "),
    ],
)
def test_a_name_that_does_not_exist_is_one_sentence_with_what_there_is(kedro, option, said):
    result = kedro("run", option)
    assert said in sentence(result)
    assert "Running node" not in result.stdout


@pytest.mark.long
def test_a_version_that_is_not_there_is_named(kedro, project_path):
    asked = "--load-versions=trajectories:2026-01-01T00.00.00.000Z"
    said = sentence(kedro("run", "--pipelines=weighting", asked))
    assert "`trajectories` has no complete version 2026-01-01T00.00.00.000Z; it has no versions" in said
    versions = [f"2026-02-0{day}T00.00.00.000Z" for day in range(1, 8)]
    for version in versions:
        (project_path / "data/02_intermediate/trajectories" / version / "trajectories").mkdir(parents=True)
    said = sentence(kedro("run", "--pipelines=weighting", asked))
    shutil.rmtree(project_path / "data/02_intermediate")
    assert f"there are {', '.join(reversed(versions[2:]))} and 2 earlier" in said


def test_a_run_that_fails_leaves_a_record_of_it_and_one_that_is_refused_leaves_none(kedro, project_path):
    runs = project_path / "data/08_reporting/runs"
    shutil.rmtree(runs, ignore_errors=True)
    kedro("run", "--params=rollout.n=0")
    kedro("run", "--nodes=score")
    assert not runs.exists()
    said = sentence(kedro("run", "--env", "test", "--params=model.path=/no where,weighting.beta=.inf"))
    (record,) = (json.loads(path.read_text()) for path in runs.iterdir())
    assert record["outcome"] == "failed"
    assert said == f"Error: {record['error']}"
    assert record["command"] == "kedro run --env test '--params=model.path=/no where,weighting.beta=.inf'"
    assert (record["environment"], record["pipelines"]) == ("test", ["__default__"])
    assert record["parameters"]["model"]["path"] == record["overrides"]["model"]["path"] == "/no where"
    assert record["parameters"]["weighting"]["beta"] == "Infinity"
    assert record["parameters"]["training"]["clip_norm"] == 1.0, "defaults are in it"
    statuses = {node["name"]: node["status"] for node in record["nodes"]}
    assert statuses["prepare_reference_model_node"] == "failed"
    assert set(statuses.values()) == {"failed", "waiting"}
    assert (record["loaded"], record["saved"]) == ({}, {})
    assert record["machine"]["cores"] >= 1 and record["packages"]["torch"]


def test_the_projects_own_command_is_recorded_as_the_kedro_run_it_is(project_path):
    runs = project_path / "data/08_reporting/runs"
    shutil.rmtree(runs, ignore_errors=True)
    command = [sys.executable, "-m", "drift", "--params=model.path=/nowhere"]
    subprocess.run(command, cwd=project_path, capture_output=True, check=False)
    (record,) = (json.loads(path.read_text()) for path in runs.iterdir())
    assert record["command"] == "kedro run --params=model.path=/nowhere"


def test_a_store_of_mlflow_that_cannot_be_used_is_refused_before_anything_runs(kedro):
    result = kedro("run", "--env=mlflow", "--params=training.mlflow.tracking_uri=file:mlruns")
    assert "training.mlflow: runs cannot be kept at file:mlruns" in sentence(result)
    assert "Running node" not in result.stdout


@pytest.mark.long
def test_mlflow_keeps_runs_in_the_project_wherever_the_command_is_given(project_path):
    command = [sys.executable, "-m", "kedro", "run", "--env=mlflow", "--pipelines=training"]
    result = subprocess.run(command, cwd=project_path / "conf", capture_output=True, text=True, check=False)
    assert "There is no complete `weighted_turns` to load" in result.stderr
    assert [path.relative_to(project_path) for path in project_path.rglob("*mlflow*.db")] == [Path("data/mlflow.db")]


@pytest.mark.long
@pytest.mark.parametrize("option", ["--pipelines=training", "--pipeline=training"])
def test_one_pipeline_may_be_named_in_the_new_and_the_old_way(kedro, option):
    result = kedro("run", option, "--env=test")
    assert "There is no complete `weighted_turns` to load" in sentence(result)
    assert "Running node: prepare_reference_model" not in result.stdout


def test_a_missing_model_is_one_sentence(kedro):
    assert "model.path: there is no directory /nowhere" in sentence(kedro("run", "--params=model.path=/nowhere"))


def test_a_model_without_chat_template_is_refused_before_sampling(kedro, reference_model, tmp_path):
    for file in reference_model.path.iterdir():
        if file.name != "chat_template.jinja":
            shutil.copy(file, tmp_path / file.name)
    result = kedro("run", f"--params=model.path={tmp_path}")
    assert "has no chat template" in sentence(result)
    assert "sample_trajectories_node" not in result.stdout


def test_faults_of_the_users_file_are_reported_together_before_sampling(kedro, project_path, reference_model):
    rows = [{"q": "1 + 1?", "a": "2"}, {"q": "", "a": "3"}, {"q": "2 + 2?", "a": None}]
    (project_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project_path / "conf/local/parameters.yml").write_text(
        f"model: {{path: {reference_model.path}}}\n"
        "problems: {train: {source: file, path: mine.jsonl, problem_column: q, answer_column: a}}\n"
    )
    result = kedro("run")
    (project_path / "conf/local/parameters.yml").unlink()
    printed = result.stdout + result.stderr
    assert sentence(result)
    assert "line 2: `q` is empty" in printed
    assert "line 3: `a` is empty" in printed
    assert "sample_trajectories_node" not in result.stdout


@pytest.mark.long
def test_gold_answers_that_cannot_be_judged_are_refused_before_sampling(kedro, project_path, reference_model):
    (project_path / "words.jsonl").write_text('{"problem": "How many?", "answer": "a few"}\n')
    parameters = f"model.path={reference_model.path},problems.train.source=file,problems.train.path=words.jsonl"
    result = kedro("run", f"--params={parameters},problems.train.verifier=numeric")
    assert "1 of 1 gold answers cannot be judged" in sentence(result)


@pytest.mark.long
def test_weights_that_are_missing_are_named(kedro, reference_model, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(reference_model.path / name, tmp_path / name)
    assert "has no weights (*.safetensors)" in sentence(kedro("run", f"--params=model.path={tmp_path}"))
    save_file({}, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").unlink()
    assert "has no tokenizer" in sentence(kedro("run", f"--params=model.path={tmp_path}"))
