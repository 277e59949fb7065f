"""Written solutions as training examples."""

import json

import pytest

from drift.errors import UserError
from drift.parameters import ProtocolParameters
from drift.problems.benchmark_source import BenchmarkSource
from drift.problems.files import FileSource
from drift.problems.problem import Problem
from drift.problems.sources import load_problems
from drift.protocol.chat import chat_format_of
from drift.rollout.plan import problems_fingerprint
from drift.verification.verifiers import grade
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA
from drift.weighting.solutions import composition_of_solutions, solution_examples, written_response

PROBLEMS = [
    Problem("a", "What is 14 + 15?", "29", "math", "mine", solution="14 + 15 is 10 + 10 + 9."),
    Problem("b", "What is 2 + 2?", "4", "math", "mine", solution="It is \\boxed{4}."),
    Problem("c", "What is 3 + 2?", "5", "math", "mine"),
]


@pytest.fixture(scope="module", params=["boxed", "think_answer"])
def chat(request, reference_model):
    return request.param, chat_format_of(reference_model.path, ProtocolParameters(prompt=request.param))


def test_a_solution_follows_the_prompt_that_is_sampled_from_and_ends_the_turn(chat):
    prompt, format_ = chat
    table = solution_examples(PROBLEMS, format_, prompt, None)
    assert table.schema == WEIGHTED_TURN_SCHEMA and table["problem_id"].to_pylist() == ["a", "b"]
    for row, problem in zip(table.to_pylist(), PROBLEMS, strict=False):
        (span,) = row["targets"]
        asked = format_.prompt_ids(problem)
        assert row["token_ids"][: span["start"]] == asked and span["end"] == len(row["token_ids"])
        said = row["token_ids"][span["start"] :]
        assert said[-1] in format_.stop_ids
        assert format_.text(said) == written_response(problem, prompt)
        assert row["weight"] == 1.0 and row["success"]


def test_a_solution_in_the_answer_format_is_judged_correct(chat):
    prompt, _ = chat
    for problem in PROBLEMS[:2]:
        response = written_response(problem, prompt)
        assert problem.solution in response
        assert grade(problem.verifier, problem.answer, response).verdict == "correct"


def test_problems_without_a_solution_or_too_long_for_the_model_are_left_out(chat):
    prompt, format_ = chat
    whole = solution_examples(PROBLEMS, format_, prompt, None)
    shortest = min(len(ids) for ids in whole["token_ids"].to_pylist())
    assert solution_examples(PROBLEMS, format_, prompt, shortest).num_rows == 1
    with pytest.raises(UserError, match=r"None of the 3 training problems has a written solution that fits"):
        solution_examples(PROBLEMS, format_, prompt, 1)
    with pytest.raises(UserError, match=r"None of the 1 training problems has a written solution"):
        solution_examples(PROBLEMS[2:], format_, prompt, None)


def test_solutions_weigh_the_same(chat):
    prompt, format_ = chat
    counted = composition_of_solutions(solution_examples(PROBLEMS, format_, prompt, None))
    assert counted["num_examples"] == counted["effective_sample_size"] == counted["all_right"] == 2


def test_a_file_may_have_a_column_of_solutions(tmp_path):
    rows = [{"q": "1 + 1", "a": "2", "s": " One more than 1. "}, {"q": "1 + 2", "a": "3", "s": ""}]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    columns = {"problem_column": "q", "answer_column": "a"}
    source = FileSource(source="file", path=str(path), solution_column="s", **columns)
    problems = load_problems(source, "train", 0)
    assert [problem.solution for problem in problems] == ["One more than 1.", None]
    without = load_problems(FileSource(source="file", path=str(path), **columns), "train", 0)
    assert problems_fingerprint(problems) == problems_fingerprint(without)  # a rollout does not depend on them
    with pytest.raises(UserError, match="there is no column `other`"):
        load_problems(FileSource(source="file", path=str(path), solution_column="other", **columns), "train", 0)


@pytest.mark.parametrize(("name", "file"), [("math", "math_test.jsonl"), ("gsm8k", "gsm8k_test.jsonl")])
@pytest.mark.parametrize("prompt", ["boxed", "think_answer"])
def test_published_solutions_are_judged_correct(shared_data, name, file, prompt):
    source = BenchmarkSource(source=name, path=str(shared_data / file), limit=100)
    problems = load_problems(source, "evaluation", 0)
    verdicts = [
        grade(problem.verifier, problem.answer, written_response(problem, prompt)).verdict for problem in problems
    ]
    assert verdicts.count("correct") >= 99
    assert not any("<<" in problem.solution for problem in problems)
