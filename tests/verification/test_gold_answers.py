"""The gold answers of MATH and MATH-500: right against themselves in every dress, wrong against each other.

All of them boxed, tagged, in a sentence and in dresses that only some fit; a fixed eighth in those that fit all, and
of neighbours. `DRIFT_ALL_GOLDS=1` takes all of them everywhere (minutes).
"""

import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drift.problems.problem import VerifierName
from drift.verification.answers import extract_answer
from drift.verification.pool import VerifierPool

DATA = Path(os.environ.get("DRIFT_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared benchmark files are not here")

STRIDE = 1 if os.environ.get("DRIFT_ALL_GOLDS") else 8
IN_FULL = ("boxed", "tagged", "sentence")

# A relation after `x =` is another relation, and words are no number.
_NO_VALUE = re.compile(r"[=<>]|\\in\b|\\(?:text|mbox)\{\(?[A-Z]|\\[lg]eq?\b|\\text\{[a-z0-9]+\}\Z")
_INTEGER = re.compile(r"-?\d{4,}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?|-?\\d?frac\{\d+\}\{\d+\}")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_WORDS = re.compile(r"\\text\{([^{}]*[A-Za-z][^{}]*)\}")
_LIST = re.compile(r"-?\d+(?:,\s+-?\d+)+")

# Without its spaces this one is no LaTeX: `\ 1` is a space and a 1, `\1` is nothing.
NOT_WITHOUT_SPACES = {r"1+\sqrt 2,\ 1-\sqrt 2,\ 2+\sqrt 3,\ 2-\sqrt 3"}
# Equal but for the unit, which is not part of the value: known to be lenient (gold answer, what is accepted for it).
LENIENT = {(r"120^\circ", "120"), (r"7\%", "7")}
EQUAL = {(r"\frac{3}{4}", r"\frac34")}


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def math_answers() -> list[str]:
    return [extract_answer(row["solution"]) or "" for row in rows("math_test.jsonl")]


@pytest.fixture(scope="module")
def golds() -> list[str]:
    math500 = [row["answer"] for row in rows("math500_test.jsonl")]
    return list(dict.fromkeys(math_answers() + math500))


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(num_workers=2, timeout_seconds=30) as opened:
        yield opened


def graded(pool: VerifierPool, verdict: str, pairs: list[tuple[str, str]], verifier: VerifierName = "math"):
    """The pairs (gold answer, response) that get this verdict."""
    futures = [pool.submit(verifier, gold, response) for gold, response in pairs]
    return [pair for pair, future in zip(pairs, futures, strict=True) if future.result().verdict == verdict]


def boxed(text: str) -> str:
    return rf"Thus \boxed{{{text}}}."


def without_spaces(gold: str) -> str | None:
    is_value = r"\text" not in gold and r"\mbox" not in gold and gold not in NOT_WITHOUT_SPACES
    return re.sub(r"(?<![A-Za-z\\]) +| +(?![A-Za-z])", "", gold) if is_value else None


def with_spaces(gold: str) -> str:
    return re.sub(r"\s*([=+])\s*", r" \1 ", gold)


def with_unit(unit: str) -> Callable[[str], str | None]:
    return lambda gold: boxed(gold + unit) if _NUMBER.fullmatch(gold) else None


def with_separator(separator: str) -> Callable[[str], str | None]:
    return lambda gold: boxed(f"{int(gold):,}".replace(",", separator)) if _INTEGER.fullmatch(gold) else None


def as_decimal(gold: str) -> str | None:
    match = _FRACTION.fullmatch(gold)
    is_finite = match is not None and 10**9 % int(match[3]) == 0
    return boxed(f"{match[1]}{int(match[2]) / int(match[3])!r}") if match and is_finite else None


def as_quotient(way: str) -> Callable[[str], str | None]:
    return lambda gold: way.format(_FRACTION.sub(r"\1\2/\3", gold)) if _FRACTION.fullmatch(gold) else None


def as_words(way: str) -> Callable[[str], str | None]:
    return lambda gold: way.format(match[1].rstrip(".")) if (match := _WORDS.fullmatch(gold)) else None


# name: gold answer -> response, None where it does not apply
DRESSES: dict[str, Callable[[str], str | None]] = {
    "boxed": boxed,
    "boxed in dollars": lambda gold: rf"so $\boxed{{{gold}}}$.",
    "dollars in a box": lambda gold: boxed(f"${gold}$"),
    "tagged": "<answer>{}</answer>".format,
    "tagged in dollars": "<answer>${}$</answer>".format,
    "tagged sentence": "<answer>The answer is ${}$.</answer>".format,
    "sentence": "The answer is ${}$.".format,
    "sentence, round": r"The answer is \({}\).".format,
    "dfrac": lambda gold: boxed(gold.replace(r"\frac", r"\dfrac")),
    "tfrac": lambda gold: boxed(re.sub(r"\\d?frac", r"\\tfrac", gold)),
    "spaces at the ends": lambda gold: boxed(rf"\, {gold} \,"),
    "more spaces": lambda gold: boxed(with_spaces(gold)),
    "fewer spaces": lambda gold: None if (text := without_spaces(gold)) is None else boxed(text),
    "x =": lambda gold: None if _NO_VALUE.search(gold) or r"\mbox" in gold else boxed(f"x = {gold}"),
    "no \\left": lambda gold: boxed(re.sub(r"\\left(?![a-z])|\\right(?![a-z])", "", gold)),
    "bmatrix": lambda gold: boxed(gold.replace("pmatrix", "bmatrix")) if "pmatrix" in gold else None,
    "set": lambda gold: boxed(rf"\{{{gold}\}}") if _LIST.fullmatch(gold) else None,
    "decimal": as_decimal,
    "quotient": as_quotient(r"\boxed{{{}}}"),
    "quotient in a sentence": as_quotient("The answer is {}."),
    "words": as_words(r"\boxed{{{}}}"),
    "words in mathrm": as_words(r"\boxed{{\mathrm{{{}}}}}"),
    "words in bold": as_words(r"\boxed{{\textbf{{{}}}}}"),
    "words in a sentence": as_words("The answer is {}."),
    "dollar sign": lambda gold: boxed(rf"\${gold}") if _NUMBER.fullmatch(gold) else None,
    **{f"unit {unit}": with_unit(unit) for unit in (
        r"\text{ cm}", r"\text{ cm}^2", r"\,\mathrm{m/s}", " cm", r"^\circ", r"^{\circ}", "°", " degrees",
    )},
    **{f"thousands {separator!r}": with_separator(separator) for separator in (",", r",\!", r"\,", "{,}", " ", r"\ ")},
}  # fmt: skip


IN_SHORT = ("dollars in a box", "decimal", "words", "thousands ','")
"""The dresses that every run tries; the others are tried with all tests."""


@pytest.mark.parametrize(
    "dress", [dress if dress in IN_SHORT else pytest.param(dress, marks=pytest.mark.long) for dress in DRESSES]
)
def test_every_gold_answer_is_correct_against_itself(pool, golds: list[str], dress: str) -> None:
    pairs = [(gold, response) for gold in golds if (response := DRESSES[dress](gold)) is not None]
    pairs = pairs if dress in IN_FULL or len(pairs) < len(golds) // 2 else pairs[::STRIDE]
    assert len(pairs) > 10
    correct = set(graded(pool, "correct", pairs))
    assert [pair for pair in pairs if pair not in correct] == []


def test_no_gold_answer_is_correct_for_the_problem_before_unless_they_are_equal(pool) -> None:
    answers = math_answers()
    neighbours = dict.fromkeys((one, other) for one, other in itertools.pairwise(answers) if one != other)
    hits = graded(pool, "correct", [(gold, boxed(other)) for gold, other in [*neighbours][::STRIDE]])
    assert {(gold, extract_answer(response)) for gold, response in hits} <= LENIENT | EQUAL


@pytest.mark.parametrize("verifier", ["math", "numeric"])
def test_every_gsm8k_gold_answer_is_correct_against_itself(pool, verifier: VerifierName) -> None:
    golds = [row["answer"].rpartition("####")[2].strip() for row in rows("gsm8k_test.jsonl")]
    pairs = [(gold, boxed(gold)) for gold in dict.fromkeys(golds)]
    assert graded(pool, "correct", pairs, verifier) == pairs
