"""The parameters name a source, and that source is loaded."""

from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from drift.problems.sources import ArithmeticSource, FileSource, ProblemSource, load_problems

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
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        SOURCES.validate_python(settings)


@pytest.mark.parametrize("model", [ArithmeticSource, FileSource])
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert all(field.description for field in model.model_fields.values())


def test_a_source_cannot_be_changed() -> None:
    source = ArithmeticSource(source="arithmetic", limit=1)
    with pytest.raises(ValidationError, match="frozen"):
        source.limit = 2  # pyrefly: ignore[read-only]
