import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.verification.tolerance import is_near
from drift.verification.verifiers import check_gold, grade

DATA = Path(os.environ.get("DRIFT_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
VERIFIER_OF_TYPE = {"list of float": "list", "list of integer": "list", "option": "choice"}


def theoremqa() -> list[tuple]:
    """(verifier, gold answer) of every row that needs no picture."""
    rows = [row for row in json.loads((DATA / "theoremqa_test.json").read_text()) if row["Picture"] is None]
    return [(VERIFIER_OF_TYPE.get(row["Answer_type"], row["Answer_type"]), str(row["Answer"])) for row in rows]


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared benchmark files are not here")
@pytest.mark.parametrize(
    "way", [r"\boxed{%s}", "<answer>%s</answer>", "The answer is %s.", "The answer is $%s$.", "So the answer is %s"]
)
def test_every_theoremqa_gold_answer_is_correct_against_itself(way: str) -> None:
    golds = theoremqa()
    assert len(golds) == 747
    assert [pair for pair in dict.fromkeys(golds) if grade(*pair, way % pair[1]).verdict != "correct"] == []


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared benchmark files are not here")
@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.03, "correct"), (0.97, "correct"), (1.05, "wrong"), (0.95, "wrong")]
)
def test_floats_within_four_percent_are_right(factor: float, verdict: str) -> None:
    golds = {gold for verifier, gold in theoremqa() if verifier == "float" and float(gold) != 0}
    assert {grade("float", gold, rf"\boxed{{{float(gold) * factor!r}}}").verdict for gold in golds} == {verdict}


@given(st.fractions(), st.fractions(-1, 1))
def test_near_means_within_four_percent(gold: Fraction, error: Fraction) -> None:
    assert is_near(gold, gold * (1 + error)) == (gold == 0 or abs(error) <= Fraction(4, 100))


@pytest.mark.parametrize(
    ("verifier", "gold", "response", "verdict"),
    [
        ("integer", "15", "about 15.2", "correct"),
        ("integer", "15", r"\boxed{15.7}", "wrong"),
        ("integer", "24", r"\boxed{4!}", "correct"),
        ("integer", "4200", r"\boxed{4{,}200 \text{ ways}}", "correct"),
        ("integer", "15", "none", "unparsable"),
        ("float", "0.0", r"\boxed{0}", "correct"),
        ("float", "0.0", r"\boxed{0.001}", "wrong"),
        ("float", "1.0472", r"\boxed{\frac{\pi}{3}}", "correct"),
        ("float", "1.0472", r"The answer is $\pi/3$.", "correct"),
        ("float", "4e-05", r"\boxed{4 \times 10^{-5}\,\mathrm{m}}", "correct"),
        ("float", "4e-05", r"\boxed{x = 4e-05}", "correct"),
        ("float", "3.2", r"\boxed{3.2 \text{ m/s}^2}", "correct"),
        ("float", "3.2", r"\boxed{3.2 m/s^2}", "correct"),
        ("float", "345.0", r"\boxed{v \approx 345}", "correct"),
        ("float", "1.0", r"\boxed{i}", "unparsable"),
        ("list", "[0.333, 0.25]", r"\boxed{(\frac{1}{3}, \frac14)}", "correct"),
        ("list", "[0.333, 0.25]", r"\boxed{\left[\frac{1}{3}, \frac{1}{5}\right]}", "wrong"),
        ("list", "[-1, 4]", "the roots are {4, -1}.", "correct"),
        ("list", "[-1, 4]", r"\boxed{x = -1, 4}", "correct"),
        ("list", "[1, 2]", r"\boxed{[1, 2, 3]}", "wrong"),
        ("list", "[1, 2]", "no idea", "unparsable"),
        ("bool", "True", "Yes. The answer is True.", "correct"),
        ("bool", "False", "<answer>not true</answer>", "correct"),
        ("bool", "True", r"\boxed{\text{Yes}}", "correct"),
        ("bool", "True", "The statement is false.", "wrong"),
        ("bool", "True", "There is no such thing.", "unparsable"),
    ],
)
def test_answers_are_judged_by_the_rule_of_their_type(verifier, gold: str, response: str, verdict: str) -> None:
    assert grade(verifier, gold, response).verdict == verdict


@pytest.mark.parametrize(
    ("gold", "verifier"), [("1.5", "integer"), ("many", "float"), ("[1, x]", "list"), ("[]", "list"), ("maybe", "bool")]
)
def test_a_gold_answer_of_another_type_is_reported(gold: str, verifier) -> None:
    assert "is not" in (check_gold(gold, verifier) or "") or "neither" in (check_gold(gold, verifier) or "")
