"""Published problem sets load as they are. The tests are skipped where the files are absent."""

import os
from pathlib import Path

import pytest

from drift.errors import UserError
from drift.problems.files import FileSource, file_problems
from drift.problems.problem import from_table, to_table

DATA = Path(os.environ.get("DRIFT_SHARED_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")).resolve()
GSM8K = {"problem_column": "question", "answer_pattern": r"####\s*(.+)"}
MAWPS = {"problem_column": "input", "answer_column": "target", "verifier": "numeric"}
BOXED = r"\\boxed\s*\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}"


def real_source(name: str, **options: object) -> FileSource:
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is absent")
    return FileSource.model_validate({"source": "file", "path": str(DATA / name), **options})


@pytest.mark.parametrize(
    ("name", "options", "num_problems", "first_answer"),
    [
        ("gsm8k_train.jsonl", GSM8K, 7473, "72"),
        ("gsm8k_test.jsonl", GSM8K, 1319, "18"),
        ("mawps_singleop.jsonl", MAWPS, 562 - 31, "14"),
        ("mawps_addsub.jsonl", MAWPS, 395, "43"),
        ("mawps_multiarith.jsonl", MAWPS, 600 - 20, "39"),
        ("math500_test.jsonl", {"id_column": "unique_id"}, 500, r"\left( 3, \frac{\pi}{2} \right)"),
    ],
)
def test_a_published_set_loads(name: str, options: dict[str, object], num_problems: int, first_answer: str) -> None:
    problems = file_problems(real_source(name, **options))
    assert len(problems) == num_problems
    assert len({problem.problem_id for problem in problems}) == num_problems
    assert problems[0].answer == first_answer
    assert from_table(to_table(problems)) == problems


def test_every_gsm8k_answer_is_a_number() -> None:
    answers = [problem.answer for problem in file_problems(real_source("gsm8k_test.jsonl", **GSM8K))]
    assert len([float(answer.replace(",", "")) for answer in answers]) == 1319


def test_a_pattern_with_nested_braces_finds_the_boxed_answers_of_math() -> None:
    boxed = file_problems(real_source("math_test.jsonl", answer_column="solution", answer_pattern=BOXED))
    assert len(boxed) == 5000
    given = {problem.problem: problem.answer for problem in file_problems(real_source("math500_test.jsonl"))}
    found = {problem.problem: problem.answer for problem in boxed if problem.problem in given}
    assert found == given


def test_theoremqa_is_refused_for_its_lists_and_booleans() -> None:
    source = real_source("theoremqa_test.json", problem_column="Question", answer_column="Answer", id_column="id")
    with pytest.raises(UserError, match=r"item \d+: `Answer` is a (list|boolean), not text or a number"):
        file_problems(source)
