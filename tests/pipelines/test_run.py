"""The smallest run through the real engine and the real model: killed once, continued, and looked at from all sides."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import psutil
import pytest
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog

from drift.model_directory import ModelDirectory
from drift.parameters import ProtocolParameters
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.weighting.weights import importance_weights

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
KEDRO = [sys.executable, "-m", "kedro"]
N, PROBLEMS, MAX_TURNS, MAX_NEW_TOKENS = 4, 4, 2, 16  # of conf/test


@dataclass
class Project:
    """A copy of the project with data of its own."""

    path: Path

    def run(self, pipelines: list[str] | None = None, **options: Any) -> None:
        bootstrap_project(self.path)
        with KedroSession.create(
            project_path=self.path, env="test", runtime_params=options.pop("params", None)
        ) as session:
            session.run(pipeline_names=pipelines, **options)

    @property
    def catalog(self) -> DataCatalog:
        bootstrap_project(self.path)
        with KedroSession.create(project_path=self.path, env="test") as session:
            return session.load_context().catalog

    def records(self) -> list[dict[str, Any]]:
        """The records of all runs, oldest first."""
        runs = sorted((self.path / "data/08_reporting/runs").glob("*.json"))
        return [json.loads(path.read_text()) for path in runs]

    def versions(self, folder: str) -> list[str]:
        """Complete versions only: a version's content has the entry's own name."""
        entry = self.path / "data" / folder
        return sorted(version.name for version in entry.glob("*") if (version / entry.name).exists())

    def command(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.path / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [*KEDRO, "run", "--env", "test", *arguments],
                cwd=self.path,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@pytest.fixture(scope="module")
def project(project_path: Path) -> Project:
    return Project(project_path)


def processes_of_session(session: int) -> list[str]:
    """Command lines of the living processes of a session (zombies have none to speak of)."""
    listed = subprocess.run(["ps", "-eo", "sid,stat,args"], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listed.splitlines()[1:])
    return [args for sid, stat, args in rows if int(sid) == session and not stat.startswith("Z")]


@pytest.fixture(scope="module")
def killed_shard(project: Project) -> tuple[Path, bytes]:
    """SIGKILLs `kedro run` when its first shard is on the disk; returns the shard and its content.

    Checks as well that the engine and the verifiers end with the run: they would keep its memory.
    """
    process = project.command("--pipelines=rollout")
    deadline = time.monotonic() + 300
    shards: list[Path] = []
    while not shards and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
        shards = sorted((project.path / "data/work/rollout").glob("*/shard-*.parquet"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert shards, (project.path / "log.txt").read_text()
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    deadline = time.monotonic() + 30
    while (left := processes_of_session(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
    (record,) = project.records()
    assert (record["outcome"], record["ended"]) == ("running", None), "a killed run is visibly unfinished"
    return shards[0], shards[0].read_bytes()


@pytest.fixture(scope="module")
def finished(project: Project, killed_shard: tuple[Path, bytes]) -> DataCatalog:
    """The whole job, run after a run that was killed."""
    assert project.versions("02_intermediate/trajectories") == []
    project.run()
    return project.catalog


@pytest.fixture(scope="module")
def chat(finished: DataCatalog) -> ChatFormat:
    reference: ModelDirectory = finished.load("reference_model")
    return chat_format_of(reference.path, ProtocolParameters(max_turns=MAX_TURNS))


@pytest.fixture(scope="module")
def trajectories(finished: DataCatalog) -> list[dict[str, Any]]:
    return finished.load("trajectories").read().to_pylist()


def test_a_killed_run_is_continued_and_loses_nothing(project, killed_shard, finished, trajectories):
    shard, content = killed_shard
    assert shard.read_bytes() == content, "finished problems are not sampled again"
    keys = [(row["problem_id"], row["trajectory_id"]) for row in trajectories]
    problems = finished.load("train_problems")["problem_id"]
    assert sorted(keys) == sorted((problem, index) for problem in problems for index in range(N))
    assert len(project.versions("02_intermediate/trajectories")) == 1


def test_a_killed_run_is_marked_by_the_next_one(project, finished):
    killed = project.records()[0]
    assert killed["outcome"] == "killed"
    assert killed["command"] == "kedro run --env test --pipelines=rollout"
    statuses = {node["name"]: node["status"] for node in killed["nodes"]}
    assert statuses["load_train_problems_node"] == "succeeded"
    assert statuses["sample_trajectories_node"] == "killed"


def test_a_run_records_what_it_loaded_and_saved(project, finished):
    record = project.records()[1]
    (version,) = project.versions("02_intermediate/trajectories")
    assert (record["session_id"], record["outcome"], record["error"]) == (version, "succeeded", None)
    assert {node["status"] for node in record["nodes"]} == {"succeeded"}
    seconds = {node["name"]: node["seconds"] for node in record["nodes"]}
    assert all(second >= 0 for second in seconds.values())
    formats = record["number_formats"]
    assert formats.keys() == {"sampling", "training"} and formats["sampling"]["asked"] == "auto"
    assert finished.load("trajectories").provenance["dtype"] == formats["sampling"]["format"]
    assert finished.load("checkpoint").provenance["training"]["precision"] == formats["training"]["format"]
    assert record["saved"]["trajectories"] == {"path": "data/02_intermediate/trajectories", "version": version}
    assert record["saved"]["reference_model"]["fingerprint"] == finished.load("reference_model").fingerprint
    assert record["loaded"].items() <= record["saved"].items(), "it loaded what it had saved itself"


def test_no_engine_is_left_running_after_the_run(finished):
    deadline = time.monotonic() + 30
    while (left := engines_of_this_process()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def engines_of_this_process() -> list[str]:
    """vLLM's processes that this one has started; other test processes have engines of their own."""
    alive = (child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE)
    return [name for child in alive if "VLLM" in (name := child.name())]


def test_contexts_extend_each_other_token_by_token(finished, trajectories, chat):
    from drift.pipelines.problem_frames import from_frame

    problems = {problem.problem_id: problem for problem in from_frame(finished.load("train_problems"))}
    for row in trajectories:
        ids = chat.prompt_ids(problems[row["problem_id"]])
        for turn in row["turns"]:
            assert row["token_ids"][: turn["start"]] == ids
            response = row["token_ids"][turn["start"] : turn["end"]]
            assert chat.text(response) == turn["response"]
            ids = ids + response + list(chat.feedback_ids_stopped if turn["stopped"] else chat.feedback_ids_cut)
        assert row["turns"][-1]["end"] == len(row["token_ids"])


def test_the_end_of_turn_is_sampled_exactly_when_the_model_stopped(trajectories, chat):
    stops = 0
    for row in trajectories:
        for turn in row["turns"]:
            response = row["token_ids"][turn["start"] : turn["end"]]
            assert (response[-1] in chat.stop_ids) == turn["stopped"]
            assert not chat.stop_ids & set(response[:-1])
            assert turn["stopped"] or len(response) == MAX_NEW_TOKENS
            stops += turn["stopped"]
    assert 0 < stops < sum(len(row["turns"]) for row in trajectories), "the run has responses of both kinds"


def test_episodes_end_at_the_first_correct_response(trajectories):
    for row in trajectories:
        verdicts = [turn["verdict"] for turn in row["turns"]]
        assert "correct" not in verdicts[:-1]
        assert row["success"] == (verdicts[-1] == "correct")
        assert row["success"] or len(verdicts) == MAX_TURNS
        assert row["num_turns"] == len(verdicts)


def test_a_plan_that_is_told_how_conversations_go_knows_what_was_sampled(finished, trajectories, project):
    from drift.parameters import TOP_LEVEL_KEYS
    from drift.planning.reckoning import Settings, reckon

    turns = [turn for row in trajectories for turn in row["turns"]]
    sampled = sum(turn["end"] - turn["start"] for turn in turns)
    solved_first = sum(row["success"] and row["num_turns"] == 1 for row in trajectories) / len(trajectories)
    given = {key: model.model_validate(finished.load(f"params:{key}")) for key, model in TOP_LEVEL_KEYS.items()}
    told = {"response_tokens": round(sampled / len(turns)), "solved_at_first": solved_first}
    given |= {
        "seed": given["seed"].root,
        "plan": given["plan"].model_copy(update=told),
        "working_directory": project.path,
    }
    rollout = reckon(Settings(**{name: given[name] for name in Settings.__dataclass_fields__})).rollout
    assert rollout.count == len(trajectories)
    assert rollout.count * rollout.expected_turns == pytest.approx(len(turns))
    assert rollout.expected_responses == pytest.approx(sampled, rel=0.05)  # the mean is rounded
    assert rollout.expected_tokens * rollout.count == pytest.approx(
        sum(len(r["token_ids"]) for r in trajectories), rel=0.2
    )
    assert sampled <= rollout.most_responses
    assert max(len(row["token_ids"]) for row in trajectories) <= rollout.most_tokens


def test_draws_of_one_problem_differ(trajectories):
    first = {}
    for row in trajectories:
        first.setdefault(row["problem_id"], set()).add(row["turns"][0]["response"])
    assert max(len(responses) for responses in first.values()) > 1


def test_what_was_sampled_is_what_is_trained_on(finished, trajectories):
    examples = finished.load("weighted_turns").read().to_pylist()
    for row, example in zip(trajectories, examples, strict=True):
        assert example["token_ids"] == row["token_ids"]
        last = row["turns"][-1]
        assert example["targets"] == [{"start": last["start"], "end": last["end"]}]


def test_weights_are_those_of_the_formula(finished):
    returns = finished.load("shaped_returns").read().to_pandas()
    weights = finished.load("weighted_turns").read(["problem_id", "weight"]).to_pandas()
    for problem_id, group in returns.groupby("problem_id"):
        expected = importance_weights(group["shaped_return"].to_numpy(), 0.1)
        actual = weights.loc[weights["problem_id"] == problem_id, "weight"].to_numpy()
        assert actual == pytest.approx(expected, rel=1e-12)


def test_greedy_responses_are_those_of_the_plain_model(finished):
    """vLLM at temperature 0 picks what a plain forward pass finds most likely, up to rounding in bfloat16."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(finished.load("reference_model").path, dtype=torch.float32)
    rows = finished.load("eval_trajectories").read().to_pylist()
    for row in (row for row in rows if row["policy"] == "reference"):
        ids = torch.tensor(row["token_ids"])
        with torch.no_grad():
            logits = model(ids[None]).logits[0]
        for turn in row["turns"]:
            chosen = logits[turn["start"] - 1 : turn["end"] - 1].gather(1, ids[turn["start"] : turn["end"], None])[:, 0]
            best = logits[turn["start"] - 1 : turn["end"] - 1].max(dim=1).values
            assert (best - chosen).max() < 0.5


def test_the_checkpoint_is_a_plain_model_that_says_what_it_was_trained_from(finished, project):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoint: ModelDirectory = finished.load("checkpoint")
    reference: ModelDirectory = finished.load("reference_model")
    trained = AutoModelForCausalLM.from_pretrained(checkpoint.path)
    before = AutoModelForCausalLM.from_pretrained(reference.path)
    assert before.dtype == torch.bfloat16, "the reference is the same on every machine"
    assert trained.dtype == getattr(torch, finished.load("trajectories").provenance["dtype"])
    changed = [not torch.equal(a, b) for a, b in zip(trained.parameters(), before.parameters(), strict=True)]
    assert any(changed)
    template = AutoTokenizer.from_pretrained(checkpoint.path).chat_template
    assert template == AutoTokenizer.from_pretrained(reference.path).chat_template
    note = checkpoint.provenance
    assert note["reference_model"]["fingerprint"] == reference.fingerprint
    assert note["training"]["steps"] == 2
    assert note["weighted_turns"]["weighting"]["beta"] == 0.1
    (version,) = project.versions("02_intermediate/trajectories")
    assert version in note["weighted_turns"]["trajectories"]["path"]


def test_the_checkpoints_card_says_how_to_use_it_and_the_program_in_it_runs(finished):
    checkpoint: ModelDirectory = finished.load("checkpoint")
    assert checkpoint.card is not None and checkpoint.card == (checkpoint.path / "README.md").read_text()
    assert f"`{checkpoint.fingerprint}`" in checkpoint.card
    (program,) = re.findall(r"```python\n(.*?)```", checkpoint.card, re.DOTALL)
    said: dict[str, Any] = {}
    exec(program.replace("path/to/this/directory", str(checkpoint.path)), said)
    assert [message["role"] for message in said["chat"]] == ["user", "assistant", "user"]
    assert said["first"] and said["second"]


def test_the_evaluated_card_is_the_checkpoints_with_results(finished):
    card, evaluated = finished.load("checkpoint").card, finished.load("model_card")
    assert "## Results" not in card and "## Results" in evaluated
    assert f"| multi@{MAX_TURNS} |" in evaluated
    assert set(card.split("---\n", 2)[2].splitlines()) <= set(evaluated.splitlines())


@pytest.mark.long
@pytest.mark.parametrize("name", ["tour", "weights"])
def test_a_notebook_runs_on_what_the_run_left(project, finished, name):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    (project.path / "notebooks").mkdir(exist_ok=True)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(project.path / "notebooks")}}).execute()


def test_the_scores_have_the_documented_shape(finished):
    scores = finished.load("multi_at_k")
    (benchmark,) = scores["benchmarks"].values()
    assert benchmark["problems"] == PROBLEMS
    for policy in ("reference", "trained"):
        assert len(benchmark[policy]["multi_at_k"]) == len(benchmark[policy]["ci95"]) == MAX_TURNS
        assert set(benchmark[policy]["verdicts"]) == {"correct", "wrong", "unparsable", "timeout"}
    assert set(scores["averages"]) == {"math", "general", "all"}
    assert scores["made_from"]["policies"]["trained"] == finished.load("checkpoint").fingerprint
    assert "NaN" not in json.dumps(scores)


def test_charts_and_log_are_there(finished):
    weighting = ("returns_and_weights", "composition_chart")
    for name in (*weighting, "learning_curve", "multi_at_k_chart", "correction_rate_chart", "answers_chart"):
        assert isinstance(finished.load(name), go.Figure)
    log: pd.DataFrame = finished.load("training_log")
    assert list(log["step"]) == [1, 2]
    assert all(math.isfinite(loss) for loss in log["weighted_loss"])


def test_the_report_is_one_page_with_everything_beside_it(finished):
    report = finished.load("evaluation_report")
    charts = ("multi_at_k", "correction_rate", "answers", "learning_curve", "composition", "returns_and_weights")
    beside = {"table.md", "table.tex", "parameters.yml", *(f"{name}.html" for name in charts)}
    assert {file.name for file in report.iterdir()} > {"report.html"} | beside
    results = json.loads((report / "results.json").read_text())
    assert results["scores"] == finished.load("multi_at_k")
    sampling, *others = results["costs"]
    assert sampling["seconds"] >= 0, "what a killed process had not saved yet is not counted"
    assert all(cost["seconds"] > 0 and cost["tokens"] > 0 for cost in others)
    assert results["not_in_parameters"] == []


def test_the_viewers_hold_every_conversation_as_the_model_saw_it(finished, project):
    for name, num_conversations in (("trajectory_viewer", N * PROBLEMS), ("conversation_viewer", 2 * PROBLEMS)):
        html = finished.load(name)
        index = re.search(r'<script type="application/json" id="index">(.*?)</script>', html)
        rows = json.loads(index[1])["rows"]
        assert len(rows) == num_conversations
        assert all(row["raw"] for row in rows), "the tokens decode to the responses"
        assert finished[name].place().parts[-3::2] == (f"{name}.html", f"{name}.html")


@pytest.mark.long
def test_another_beta_trains_again_but_never_samples_again(project, finished):
    before = project.versions("02_intermediate/trajectories")
    rollouts = {path: path.stat().st_mtime_ns for path in (project.path / "data/work/rollout").rglob("shard-*")}
    evaluations = set((project.path / "data/work/evaluation").iterdir())

    project.run(["weighting", "training", "evaluation"], params={"weighting": {"beta": 0.5}})

    assert project.versions("02_intermediate/trajectories") == before
    assert {path: path.stat().st_mtime_ns for path in (project.path / "data/work/rollout").rglob("shard-*")} == rollouts
    assert len(project.versions("06_models/checkpoint")) == 2
    later = project.catalog
    assert later.load("checkpoint").provenance["weighted_turns"]["weighting"]["beta"] == 0.5
    new_evaluations = set((project.path / "data/work/evaluation").iterdir()) - evaluations
    assert len(new_evaluations) == 1, "only the new checkpoint is asked; the reference was evaluated before"


def test_a_named_version_is_loaded(project, finished):
    versions = project.versions("05_model_input/weighted_turns")
    project.run(["training"], load_versions={"weighted_turns": versions[0]}, params={"training": {"steps": 1}})
    assert versions[0] in project.catalog.load("checkpoint").provenance["weighted_turns"]["path"]


def test_data_of_another_model_is_not_trained_on(project, finished, tmp_path):
    from drift.errors import UserError
    from drift.training.policy import refuse_other_policy

    reference: ModelDirectory = finished.load("reference_model")
    other = ModelDirectory(reference.path, {"path": "other", "fingerprint": "0000"})
    refuse_other_policy(finished.load("weighted_turns"), reference)
    with pytest.raises(UserError, match="was sampled from another model"):
        refuse_other_policy(finished.load("weighted_turns"), other)


def test_a_checkpoint_is_not_compared_with_another_reference(finished):
    from drift.errors import UserError
    from drift.evaluation.conversations import refuse_other_reference

    reference: ModelDirectory = finished.load("reference_model")
    other = ModelDirectory(reference.path, {"path": "other", "fingerprint": "0000"})
    refuse_other_reference({"reference": reference, "trained": finished.load("checkpoint")})
    with pytest.raises(UserError, match="was trained from another model"):
        refuse_other_reference({"reference": other, "trained": finished.load("checkpoint")})


def test_a_single_node_runs_on_what_is_there(project, finished):
    project.run(node_names=["score_node"])
    assert len(project.versions("08_reporting/multi_at_k.json")) >= 2
