import json
import os
from pathlib import Path

import pytest

from drift.verification.verifiers import grade

DATA = Path(os.environ.get("DRIFT_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared benchmark files are not here")


def misgraded(verifier, golds: list[str]) -> list[str]:
    return [gold for gold in golds if grade(verifier, gold, rf"Thus \boxed{{{gold}}}.").verdict != "correct"]


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def test_every_math500_gold_answer_is_correct_against_itself() -> None:
    assert misgraded("math", [row["answer"] for row in rows("math500_test.jsonl")]) == []


@pytest.mark.parametrize("verifier", ["math", "numeric"])
def test_every_gsm8k_gold_answer_is_correct_against_itself(verifier) -> None:
    golds = [row["answer"].rpartition("####")[2].strip() for row in rows("gsm8k_test.jsonl")]
    assert misgraded(verifier, golds) == []
