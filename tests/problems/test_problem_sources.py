"""The parameters name a source, and that source is loaded."""

import json
import logging
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from drift.errors import UserError
from drift.parameters import ProblemsParameters
from drift.problems.benchmarks import BENCHMARKS
from drift.problems.leaks import refuse_leaks
from drift.problems.sources import (
    ArithmeticSource,
    BenchmarkSource,
    FileSource,
    ProblemSource,
    load_evaluation_problems,
    load_problems,
    load_train_problems,
    published_names,
)

SOURCES: TypeAdapter[ProblemSource] = TypeAdapter(ProblemSource)


def test_the_source_key_chooses_the_model(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("problem,answer\nWhat?,1\n")
    by_file = SOURCES.validate_python({"source": "file", "path": str(file)})
    by_rule = SOURCES.validate_python({"source": "arithmetic", "limit": 3})
    assert [problem.source for problem in load_problems(by_file, "train", seed=0)] == ["mine"]
    assert [problem.source for problem in load_problems(by_rule, "train", seed=0)] == ["arithmetic"] * 3


def test_parts_and_seeds_decide_the_arithmetic_problems() -> None:
    source = ArithmeticSource(source="arithmetic", limit=20)
    ids = [
        tuple(problem.problem_id for problem in load_problems(source, part, seed))
        for part in ("train", "evaluation")
        for seed in (0, 1)
    ]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"source": "csv"}, "'arithmetic', 'file'"),
        ({"source": "file", "path": "x.csv", "colour": 1}, "Extra inputs are not permitted"),
        ({"source": "file", "path": "x.csv", "verifier": "guess"}, "'math', 'numeric', 'choice', 'exact'"),
        ({"source": "file", "path": "x.csv", "limit": 0}, "greater than or equal to 1"),
        ({"source": "file", "path": "x.csv", "answer_pattern": "####.+"}, "has no group: put parentheses"),
        ({"source": "file", "path": "x.csv", "answer_pattern": "(####"}, "is not a regular expression"),
        ({"source": "math", "limit": 0}, "greater than or equal to 1"),
        ({"source": "math", "corrected": True}, "`corrected` means something for mmlu_redux only"),
        ({"source": "math", "path": "x.json", "revision": "v1"}, "leave one of them out"),
        ({"source": "math", "answer_column": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        SOURCES.validate_python(settings)


@pytest.mark.parametrize("model", [ArithmeticSource, FileSource, BenchmarkSource])
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert all(field.description for field in model.model_fields.values())


def test_a_source_cannot_be_changed() -> None:
    source = ArithmeticSource(source="arithmetic", limit=1)
    with pytest.raises(ValidationError, match="frozen"):
        source.limit = 2  # pyrefly: ignore[read-only]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_row_of_the_table_is_a_source(name: str) -> None:
    source = SOURCES.validate_python({"source": name})
    assert isinstance(source, BenchmarkSource)
    assert published_names([source, ArithmeticSource(source="arithmetic", limit=1)]) == {name}


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def several(tmp_path: Path, train: dict[str, object], **files: list[dict[str, str]]) -> ProblemsParameters:
    """Training problems, and an evaluation on a file of each name."""
    evaluation = [
        {"source": "file", "path": write(tmp_path / f"{name}.jsonl", rows), "id_column": "id"}
        for name, rows in files.items()
    ]
    return ProblemsParameters.model_validate({"train": train, "evaluation": evaluation})


SUMS = {"source": "arithmetic", "limit": 1}


def test_several_sources_are_evaluated_together_each_under_its_name(tmp_path: Path) -> None:
    first, second = ([{"id": f"{name}{n}", "problem": f"{name}{n}?", "answer": "1"} for n in range(2)] for name in "ab")
    parameters = several(tmp_path, SUMS, first=first, second=second)
    loaded = load_evaluation_problems(parameters.evaluation_sources, seed=0)
    assert [(problem.source, problem.problem_id) for problem in loaded] == [
        ("first", "a0"),
        ("first", "a1"),
        ("second", "b0"),
        ("second", "b1"),
    ]


def test_ids_that_two_sources_share_are_refused(tmp_path: Path) -> None:
    first, second = ([{"id": "1", "problem": f"{name}?", "answer": "1"}] for name in "ab")
    parameters = several(tmp_path, SUMS, first=first, second=second)
    with pytest.raises(UserError, match=r"1 ids are taken twice \(such as '1', in first and second\)"):
        load_evaluation_problems(parameters.evaluation_sources, seed=0)


def test_sources_of_one_name_and_an_empty_list_are_refused() -> None:
    twice = [{"source": "math500"}, {"source": "math500", "limit": 3}]
    with pytest.raises(ValidationError, match="two sources of the evaluation are called 'math500'"):
        ProblemsParameters.model_validate({"train": SUMS, "evaluation": twice})
    named = [{"source": "file", "path": "a/x.csv"}, {"source": "file", "path": "b/x.csv"}]
    with pytest.raises(ValidationError, match="called 'x'"):
        ProblemsParameters.model_validate({"train": SUMS, "evaluation": named})
    ProblemsParameters.model_validate({"train": SUMS, "evaluation": [named[0], {**named[1], "name": "y"}]})
    with pytest.raises(ValidationError, match="list of the evaluation's sources is empty"):
        ProblemsParameters.model_validate({"train": SUMS, "evaluation": []})


def test_sums_of_another_range_are_refused_anywhere_in_the_list() -> None:
    evaluation = [{"source": "math500"}, {**SUMS, "largest_addend": 30}]
    with pytest.raises(ValidationError, match="different addends"):
        ProblemsParameters.model_validate({"train": SUMS, "evaluation": evaluation})


METAMATHQA = [
    {
        "type": kind,
        "query": f"{kind}: {number}?",
        "original_question": f"What is {number}?",
        "response": f"The answer is: {number}",
    }
    for number in range(100)
    for kind in ("MATH_Rephrased", "MATH_SV")
]


def test_nothing_that_rephrases_an_evaluated_problem_is_trained_on(tmp_path: Path, caplog) -> None:
    """The evaluated problems are not the held-out part of the set, but some its training part was made from."""
    caplog.set_level(logging.INFO)
    train = {"source": "metamathqa", "path": write(tmp_path / "meta.jsonl", METAMATHQA)}
    asked = [{"id": str(number), "problem": f"what is  {number}?", "answer": "1"} for number in range(50)]
    parameters = several(tmp_path, train, mine=asked)
    trained_on = load_train_problems(parameters.train, parameters.evaluation_sources, seed=0)
    evaluated = load_evaluation_problems(parameters.evaluation_sources, seed=0)
    assert trained_on
    assert all(int((problem.original or "").split()[2][:-1]) >= 50 for problem in trained_on)
    assert "asked in the evaluation (" in caplog.text
    refuse_leaks(trained_on, evaluated)
    with pytest.raises(UserError, match="are also training problems"):
        refuse_leaks(load_problems(parameters.train, "train", seed=0), evaluated)


def test_a_limit_counts_what_is_left_after_evaluated_problems_are_taken_out(tmp_path: Path) -> None:
    train = {"source": "metamathqa", "path": write(tmp_path / "meta.jsonl", METAMATHQA), "limit": 30}
    asked = [{"id": str(number), "problem": f"What is {number}?", "answer": "1"} for number in range(50)]
    parameters = several(tmp_path, train, mine=asked)
    assert len(load_train_problems(parameters.train, parameters.evaluation_sources, seed=0)) == 30


def test_both_parts_of_metamathqa_pass_the_leak_check(tmp_path: Path) -> None:
    source = {"source": "metamathqa", "path": write(tmp_path / "meta.jsonl", METAMATHQA)}
    parameters = ProblemsParameters.model_validate({"train": source, "evaluation": source})
    trained_on = load_train_problems(parameters.train, parameters.evaluation_sources, seed=0)
    evaluated = load_evaluation_problems(parameters.evaluation_sources, seed=0)
    assert trained_on and evaluated
    refuse_leaks(trained_on, evaluated)
