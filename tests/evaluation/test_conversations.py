"""An evaluation on two benchmarks through the pipeline's nodes, with the real model and the cheapest real engine."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RolloutParameters,
    Seed,
    WorkingDirectory,
)
from drift.pipelines.evaluation.nodes import evaluate_policies, load_eval_problems, score
from drift.pipelines.problem_frames import from_frame, to_frame
from drift.problems.problem import Problem
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA
from drift.shards import Shards

MODEL = ModelParameters(path="bundled:smollm2-135m-instruct")
PROTOCOL = ProtocolParameters(max_turns=2)
ROLLOUT = RolloutParameters.model_validate(
    {"n": 1, "max_new_tokens": 8, "temperature": 0.9, "engine": {"kind": "transformers", "max_sequences": 8}}
)
TRAIN = to_frame([Problem("t", "What is 100 + 1?", "101", "math", "train")])
STARTED = "Engine: plain transformers"


class Stage(NamedTuple):
    """What the tests share."""

    directory: Path
    problems: ProblemsParameters
    reference: ModelDirectory
    checkpoint: ModelDirectory


@pytest.fixture(scope="module")
def stage(reference_model: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Two small benchmarks, and a version of a checkpoint, which is the reference's weights under another name."""
    directory = tmp_path_factory.mktemp("evaluation")
    math = [{"problem": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(3)]
    mmlu = [{"question": f"Which is {n}?", "choices": ["0", "1", "2"], "answer": n} for n in range(2)]
    for name, rows in (("math500", math), ("mmlu", mmlu)):
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation = [{"source": name, "path": str(directory / f"{name}.jsonl")} for name in ("math500", "mmlu")]
    evaluation[0]["limit"] = 2  # pyrefly: ignore
    problems = ProblemsParameters.model_validate(
        {"train": {"source": "arithmetic", "limit": 1}, "evaluation": evaluation}
    )
    note = {"fingerprint": "trained", "reference_model": {"fingerprint": reference_model.fingerprint}}
    version = directory / "version" / "checkpoint"
    version.mkdir(parents=True)
    ModelDirectory(reference_model.path, note).write_to(version)
    return Stage(directory, problems, reference_model, ModelDirectory.open(version))


def load(stage: Stage, **evaluation: Any):
    parameters = EvaluationParameters.model_validate({"max_new_tokens": 8, "bootstrap_samples": 100, **evaluation})
    return load_eval_problems(TRAIN, stage.problems, PROTOCOL, parameters, MODEL, stage.reference, Seed(0)), parameters


def evaluate(stage: Stage, name: str, **evaluation: Any) -> tuple[Shards, Shards, dict[str, Any]]:
    """Runs the nodes and saves as the catalog does; conversations, attempts and scores."""
    frame, parameters = load(stage, **evaluation)
    working_directory = WorkingDirectory(stage.directory / "work")
    streams = evaluate_policies(
        frame, stage.reference, stage.checkpoint, MODEL, PROTOCOL, ROLLOUT, parameters, Seed(0), working_directory
    )
    saved = []
    for table, stream in zip(("eval_trajectories", "eval_attempts"), streams, strict=True):
        dataset = ParquetShardsDataset(filepath=str(stage.directory / name / table))
        dataset.save(stream)
        saved.append(dataset.load())
    return saved[0], saved[1], score(*saved, frame, PROTOCOL, parameters, Seed(0))


@pytest.fixture(scope="module")
def first(stage: Stage) -> tuple[Shards, Shards, dict[str, Any]]:
    """Reference and trained policy, without attempts."""
    return evaluate(stage, "first")


@pytest.fixture(scope="module")
def second(stage: Stage, first) -> tuple[Shards, Shards, dict[str, Any], list[str]]:
    """The same again with attempts and two further policies, one of them the checkpoint; and what was logged."""
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = logging.getLogger("drift")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    policies = {"sft": str(stage.directory / "version"), "plain": str(stage.reference.path)}
    try:
        return *evaluate(stage, "second", attempts=3, policies=policies), records
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_all_benchmarks_are_in_one_table_and_scored_by_name_and_domain(first):
    conversations, _, scores = first
    table = conversations.read()
    assert table.schema == EVAL_TRAJECTORY_SCHEMA
    counts = Counter(zip(table["policy"].to_pylist(), table["benchmark"].to_pylist(), strict=True))
    assert counts == {(policy, name): 2 for policy in ("reference", "trained") for name in ("math500", "mmlu")}
    assert {name: entry["problems"] for name, entry in scores["benchmarks"].items()} == {"math500": 2, "mmlu": 2}
    assert scores["benchmarks"]["mmlu"]["chance"]["with_repetition"][0] == pytest.approx(1 / 3)
    assert scores["benchmarks"]["math500"]["chance"] is None
    assert set(scores["averages"]["math"]) == set(scores["averages"]["general"]) == {"reference", "trained"}


def test_without_attempts_their_table_has_no_rows(first):
    _, attempts, _ = first
    assert attempts.read().schema == EVAL_TRAJECTORY_SCHEMA
    assert attempts.num_rows() == 0


def test_attempts_are_independent_single_turns_of_every_policy_at_every_problem(stage, second):
    _, attempts, _, _ = second
    frame, _ = load(stage)
    rows = attempts.read().to_pylist()
    assert Counter((row["policy"], row["problem_id"]) for row in rows) == {
        (policy, problem_id): 3
        for policy in ("reference", "trained", "sft", "plain")
        for problem_id in frame["problem_id"]
    }
    for row in rows:
        (turn,) = row["turns"]
        assert turn["end"] == len(row["token_ids"])
        assert 0 < turn["end"] - turn["start"] <= 8
        assert row["success"] == (turn["verdict"] == "correct")
    of_one = {row["turns"][0]["response"] for row in rows if row["policy"] == "reference"}
    assert len(of_one) > 4, "they are drawn, not decoded greedily"


def test_further_policies_are_scored_beside_the_two(second):
    conversations, _, scores, _ = second
    assert set(conversations.read(["policy"])["policy"].to_pylist()) == {"reference", "trained", "sft", "plain"}
    entry = scores["benchmarks"]["math500"]
    assert entry["sft"]["multi_at_k"] == entry["trained"]["multi_at_k"]
    assert set(conversations.provenance) == {"reference", "trained", "sft", "plain"}


def test_what_was_asked_before_is_not_asked_again_and_the_engine_starts_once_a_policy(second):
    *_, records = second
    assert sum(record.startswith(STARTED) for record in records) == 2, "for the attempts of two models"
    assert "Evaluating the reference policy: 4 of 4 problems are there already" in records
    assert "Independent attempts of the sft policy: 4 of 4 problems are there already" in records


def test_conversations_and_attempts_share_one_start_of_the_engine(stage, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    fresh = stage._replace(directory=tmp_path)
    conversations, attempts, _ = evaluate(fresh, "fresh", attempts=1)
    assert caplog.text.count(STARTED) == 2
    assert (conversations.num_rows(), attempts.num_rows()) == (8, 8)


@pytest.mark.parametrize(
    ("policies", "sentence"),
    [
        ({"sft": "/nowhere"}, r"evaluation\.policies\.sft: there is no directory /nowhere"),
        ({"trained": "/nowhere"}, r"evaluation\.policies: 'trained' cannot be the name of a further policy"),
        ({"difference": "/nowhere"}, "'difference' cannot be the name"),
    ],
)
def test_a_further_policy_that_cannot_be_used_is_refused_when_problems_are_loaded(stage, policies, sentence):
    with pytest.raises(UserError, match=sentence):
        load(stage, policies=policies)


def test_a_directory_without_a_model_is_named_with_its_policy(stage, tmp_path):
    with pytest.raises(UserError, match=rf"evaluation\.policies\.sft: {tmp_path} has no config\.json"):
        load(stage, policies={"sft": str(tmp_path)})


def test_published_answers_that_cannot_be_judged_are_left_out_and_counted(stage, tmp_path, caplog):
    rows = [
        {"Question": f"q{n}", "Answer": answer, "Answer_type": "integer", "Picture": None}
        for n, answer in enumerate(["1", "many"])
    ]
    path = tmp_path / "theoremqa.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation = {"source": "theoremqa", "path": str(path)}
    problems = ProblemsParameters.model_validate({"train": stage.problems.train, "evaluation": evaluation})
    frame, _ = load(stage._replace(problems=problems))
    assert "Left out: 1 of 2 problems, whose published answers cannot be judged: theoremqa-000002" in caplog.text
    assert [problem.problem_id for problem in from_frame(frame)] == ["theoremqa-000001"]


def test_a_problem_that_is_trained_on_is_refused_in_any_of_the_benchmarks(stage):
    train = to_frame([Problem("t", "which is 1?\n\n(A) 0\n(B) 1\n(C) 2", "B", "choice", "train")])
    parameters = EvaluationParameters(max_new_tokens=8)
    with pytest.raises(UserError, match=r"1 of the 4 evaluation problems are also training problems \(mmlu-000002\)"):
        load_eval_problems(train, stage.problems, PROTOCOL, parameters, MODEL, stage.reference, Seed(0))
