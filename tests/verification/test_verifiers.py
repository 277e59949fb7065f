import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.errors import UserError
from drift.problems.problem import VERIFIER_NAMES
from drift.verification.verifiers import VERIFIERS, check_gold, grade

MATH_TABLE = [
    ("29", "14 + 15 = 29.", "correct", "29"),
    ("29", "The sum is 29, I think.", "correct", "29"),
    ("29", "<answer>The answer is 29</answer>", "correct", "29"),
    ("29", r"\boxed{14 + 15 = 29}", "correct", "29"),
    ("29", r"\boxed{x = 29}", "correct", "29"),
    ("29", r"<answer>$29$</answer>", "correct", "29"),
    ("29", r"\boxed{29 \text{ apples}}", "correct", "29"),
    ("29", r"14 + 15 = 29, so \boxed{30}", "wrong", "30"),
    ("29", "14 + 15 = 28.", "wrong", "28"),
    ("29", r"\boxed{29, 30}", "wrong", "{29, 30}"),
    ("29", "I don't know.", "unparsable", None),
    ("29", "<answer></answer>", "unparsable", None),
    ("29", "", "unparsable", None),
    # a calculation that nobody carried out repeats the question
    ("29", "14 + 15 =", "unparsable", None),
    ("29", r"\boxed{14 + 15}", "unparsable", None),
    ("12", r"\boxed{3 \cdot 4}", "unparsable", None),
    (r"3 \cdot 4", r"\boxed{3 \cdot 4}", "correct", "12"),
    ("1024", r"\boxed{2^{10}}", "correct", "1024"),
    (r"\frac{1}{2}", r"\boxed{0.5}", "correct", "1/2"),
    (r"\frac{1}{2}", r"<answer>\dfrac{1}{2}</answer>", "correct", "1/2"),
    ("0.5", r"\boxed{\frac12}", "correct", "1/2"),
    (r"(3, \frac{\pi}{2})", r"\boxed{(3, \pi/2)}", "correct", "(3, pi/2)"),
    (r"x \in [1,2]", r"\boxed{[1,2]}", "correct", "Interval(1, 2)"),
    ("x^2+2x+1", r"\boxed{(x+1)^2}", "correct", "x**2 + 2*x + 1"),
    (r"\frac{\sqrt2}{2}", r"\boxed{\frac{1}{\sqrt 2}}", "correct", "sqrt(2)/2"),
    (r"\text{Evelyn}", r"\boxed{Evelyn}", "correct", "evelyn"),
    (r"10\%", r"\boxed{10\%}", "correct", "1/10"),
    (r"\frac{12}{5,\!525}", r"\boxed{\frac{12}{5525}}", "correct", "12/5525"),
    # known wrong grades of Math-Verify
    ("2021", r"\boxed{\pm 2021}", "wrong", "{-2021, 2021}"),
    ("±2021", r"\boxed{2021}", "wrong", "2021"),
    ("12:00", r"\boxed{1:00}", "wrong", "1:00"),
    ("12:00", r"\boxed{12:00}", "correct", "12:00"),
    ("12:30", r"\boxed{2:5}", "wrong", "2:5"),
    (r"\text{4:30 p.m.}", "It ends at 4:30 PM.", "correct", "4:30pm"),
    ("3:1", r"\boxed{6:2}", "correct", "3"),
]

NUMERIC_TABLE = [
    ("1234", "It costs $1,234.00.", "correct", "1234"),
    ("0.5", "<answer>1/2</answer>", "correct", "1/2"),
    ("18", "9 * 2 = 18", "correct", "18"),
    ("18", "18.0001", "wrong", "180001/10000"),
    ("10", "10%", "correct", "10"),
    ("1500", r"\boxed{1.5 \times 10^3}", "correct", "1500"),
    ("-3", r"\boxed{-3}", "correct", "-3"),
    ("3", "three", "unparsable", None),
]

CHOICE_TABLE = [
    ("B", "<answer>B</answer>", "correct", "B"),
    ("B", "<answer>b</answer>", "correct", "B"),
    ("(B)", r"\boxed{\text{(B)}}", "correct", "B"),
    ("B", "The answer is B.", "correct", "B"),
    ("B", "<answer>C. five</answer>", "wrong", "C"),
    ("A", "A cat sat on the mat.", "unparsable", None),
    ("A", "A", "correct", "A"),
    ("J", "The answer is (J).", "correct", "J"),
]

EXACT_TABLE = [
    ("New York", " new\n york ", "correct", "new york"),
    ("New York", "I say <answer>New  York</answer>", "correct", "new york"),
    ("New York", "York", "wrong", "york"),
    ("New York", "  ", "unparsable", None),
]

TABLE = [
    (verifier, *row)
    for verifier, rows in [
        ("math", MATH_TABLE),
        ("numeric", NUMERIC_TABLE),
        ("choice", CHOICE_TABLE),
        ("exact", EXACT_TABLE),
    ]
    for row in rows
]


@pytest.mark.parametrize(("verifier", "gold", "response", "verdict", "answer"), TABLE)
def test_verdict_and_normalised_answer(verifier, gold, response, verdict, answer) -> None:
    outcome = grade(verifier, gold, response)
    assert (outcome.verdict, outcome.answer) == (verdict, answer)


def test_every_name_has_a_verifier() -> None:
    assert tuple(VERIFIERS) == VERIFIER_NAMES


def test_an_unknown_verifier_is_the_users_error() -> None:
    with pytest.raises(UserError, match="no verifier 'mathematics'"):
        grade("mathematics", "1", "1")  # pyrefly: ignore


fractions = st.builds(Fraction, st.integers(-9999, 9999), st.sampled_from([1, 2, 4, 5, 8, 10, 20, 100]))


def spellings(value: Fraction) -> list[str]:
    """Ways to write a fraction that has a finite decimal."""
    numerator, denominator = value.as_integer_ratio()
    decimal = f"{Decimal(numerator) / Decimal(denominator):f}"
    sign = "-" if value < 0 else ""
    ways = [decimal, rf"\frac{{{numerator}}}{{{denominator}}}", rf"{sign}\dfrac{{{abs(numerator)}}}{{{denominator}}}"]
    ways += [f"{numerator}/{denominator}", f"{3 * numerator}/{3 * denominator}", f"x = {decimal}", f"${decimal}$"]
    return ways + ([f"{numerator:,}", f"{numerator}.0"] if denominator == 1 else [])


@settings(deadline=None, max_examples=40)
@given(fractions)
def test_equal_numbers_have_equal_normalised_answers(value: Fraction) -> None:
    grades = [grade("math", str(value), rf"\boxed{{{way}}}") for way in spellings(value)]
    assert {(g.verdict, g.answer) for g in grades} == {("correct", str(value))}


@settings(deadline=None, max_examples=40)
@given(fractions, fractions)
def test_normalised_answers_are_equal_only_for_equal_numbers(left: Fraction, right: Fraction) -> None:
    outcome = grade("math", str(left), f"<answer>{right}</answer>")
    assert (outcome.verdict == "correct") == (left == right)
    assert (outcome.answer == str(left)) == (left == right)


@settings(deadline=None, max_examples=40)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_expanded_and_factored_polynomials_have_one_normalised_answer(a: int, b: int) -> None:
    factored = grade("math", "x", rf"\boxed{{(x{a:+d})(x{b:+d})}}")
    expanded = grade("math", "x", rf"\boxed{{x^2{a + b:+d}x{a * b:+d}}}")
    assert factored.answer == expanded.answer


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_repeating_the_question_is_never_correct(left: int, right: int) -> None:
    for response in (f"{left} + {right}", f"{left} + {right} =", rf"\boxed{{{left} + {right}}}"):
        assert grade("math", str(left + right), response).verdict == "unparsable"


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(VERIFIER_NAMES), st.text(max_size=80))
def test_no_response_raises(verifier, response: str) -> None:
    gold = {"choice": "B", "bool": "True", "list": "[1, 2.5]"}.get(verifier, "29")
    outcome = grade(verifier, gold, response)
    assert (outcome.answer is None) == (outcome.verdict in ("unparsable", "timeout"))


@pytest.mark.parametrize(
    ("gold", "verifier", "reason"),
    [
        ("29", "math", None),
        (r"x \in [1,2]", "math", None),
        (r"10\%", "math", None),
        ("", "math", "not mathematics"),
        ("1,234", "numeric", None),
        ("12 or 13", "numeric", "not one number"),
        ("C", "choice", None),
        ("C and D", "choice", "not an option letter"),
        ("Paris", "exact", None),
        (" ", "exact", "empty"),
        ("9" * 3000, "exact", "longer than"),
    ],
)
def test_a_gold_answer_is_checked_before_it_is_used(gold, verifier, reason) -> None:
    fault = check_gold(gold, verifier)
    assert fault is None if reason is None else fault is not None and reason in fault


@pytest.mark.parametrize("action", ["None", "grade('math', '1', '1')"], ids=["import", "grade"])
def test_verification_never_imports_torch_and_sympy_only_to_grade(action: str) -> None:
    code = f"""
import sys
import drift.verification.pool
from drift.verification.verifiers import grade
{action}
print([name for name in ("torch", "vllm", "transformers", "sympy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("[]" if action == "None" else "['sympy']")
