r"""Mathematics through Math-Verify: what an answer says, whether it equals the gold answer, and its one spelling.

Everything here may hang or exhaust memory on hostile input (`5^{5^{5^5}}`), so it runs in the workers of `pool.py`.
Math-Verify and sympy take seconds to import and are imported where they are used.
"""

import logging
import re
from fractions import Fraction
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from drift.verification.answers import MAX_PARSED_CHARACTERS, fold_text
from drift.verification.latex import closing_mathematics, plain_latex

if TYPE_CHECKING:
    from sympy import Basic

# sympy signals "this I cannot do" with nearly every built-in error. Not `MemoryError`: that one is for the pool.
_SYMPY_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

# A word of prose: four letters that are neither a LaTeX command nor a function's name nor inside \text{…}.
_PROSE = re.compile(r"(?<![\\A-Za-z])(?!(?:sqrt|sinh|cosh|tanh|frac|infty)\b)[A-Za-z]{4,}")
_MATH_MODE = re.compile(r"\\\(|\\\[|\$[^$]+\$")
_NO_PROSE = re.compile(r"\\(?:text|mathrm|mbox|operatorname|begin|end)\s*\{[^{}]*\}")
_QUOTIENT = re.compile(r"(-?\d+/\d+)\.?")
_PERCENT = re.compile(r"\\?%\s*\Z")
_CLOCK = re.compile(r"(?<![\d:])\d{1,2}:[0-5]\d(?![\d:])(?:\s*[ap]\.?m\b\.?)?", re.IGNORECASE)


def parse_explicit(answer: str) -> list[Any]:
    r"""Math-Verify's reading of an explicit answer: candidates, sympy objects first; empty when there is none.

    Bare LaTeX is put into `\boxed{}`, because Math-Verify reads no LaTeX outside of mathematics; an answer that is a
    sentence is read as free text, because as LaTeX it would be a product of its letters.
    """
    answer = " ".join(plain_latex(answer).split())
    if not answer or len(answer) > MAX_PARSED_CHARACTERS:
        return []
    if is_prose(answer) and (parsed := parse_free_text(answer)):
        return parsed
    if _PERCENT.search(answer):  # Math-Verify reads a percent sign only behind the mathematics
        return _parse(f"${_PERCENT.sub('', answer).strip('$')}$%")
    return _parse(rf"\boxed{{{answer}}}")


def parse_free_text(text: str) -> list[Any]:
    """Math-Verify's reading of a text: the mathematics it ends with, else its last number or expression.

    Empty when there is neither.
    """
    text = text[-MAX_PARSED_CHARACTERS:]
    closing = closing_mathematics(text)
    parsed = parse_explicit(closing) if closing else _parse(text)
    if parsed and (quotient := _QUOTIENT.fullmatch(str(parsed[-1]))):  # `9/7.` is read as 9 divided by the float 7.
        parsed = parse_explicit(quotient[1])
    return parsed if is_expression(parsed) else []


@lru_cache(maxsize=4096)
def parse_gold(gold: str) -> list[Any]:
    """`parse_explicit` of a gold answer, remembered: every trajectory of a problem has the same one."""
    return parse_explicit(gold)


def _parse(text: str) -> list[Any]:
    from math_verify import parse

    _quiet_math_verify()
    return parse(text, parsing_timeout=None)  # type: ignore[bad-argument-type]


def equal(gold: list[Any], answer: list[Any]) -> bool:
    """Whether Math-Verify finds the answer equal to the gold answer; not symmetric."""
    from math_verify import verify

    return verify(gold, answer, timeout_seconds=None)


@lru_cache(maxsize=1)
def _quiet_math_verify() -> None:
    """Math-Verify warns that it runs without a timeout of its own; here the pool has it."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)


def is_prose(answer: str) -> bool:
    """Whether an explicit answer is a sentence (or holds marked mathematics), not bare mathematics."""
    return bool(_MATH_MODE.search(answer) or _PROSE.search(_NO_PROSE.sub("", answer)))


def is_expression(parsed: list[Any]) -> bool:
    """Whether Math-Verify understood it, rather than handing its text back."""
    return bool(parsed) and not isinstance(parsed[0], str)


def is_bare_calculation(parsed: list[Any]) -> bool:
    """Whether it is a sum or product of integers that nobody carried out, such as `14 + 15`.

    Math-Verify grades `14 + 15` as correct where 29 is asked for, so a model would learn to repeat the question.
    Quotients and powers pass: `1/2` and `2^{10}` are proper answers.
    """
    from sympy import Add, Integer, Mul, Pow

    if not is_expression(parsed):
        return False
    value = _right_hand_side(parsed[0])
    if not isinstance(value, Add | Mul) or not all(isinstance(atom, Integer) for atom in value.atoms()):
        return False
    return not value.has(Pow)


def _right_hand_side(expression: "Basic") -> "Basic":
    """What `x = …` or `14 + 15 = …` says; anything else unchanged."""
    from sympy import Eq, Symbol

    if isinstance(expression, Eq) and (isinstance(expression.lhs, Symbol) or not expression.lhs.free_symbols):
        return _right_hand_side(expression.rhs)
    return expression


def numeric_value(parsed: list[Any]) -> Fraction | None:
    """The value of an expression without variables, to fifteen digits; None when it has none."""
    from sympy import Expr

    value = _right_hand_side(parsed[0]) if is_expression(parsed) else None
    if not isinstance(value, Expr):
        return None
    try:
        number = float(str(value.evalf()))
    except _SYMPY_ERRORS:  # also what is not real
        return None
    return Fraction(number) if isfinite(number) else None


def canonical(parsed: list[Any], text: str) -> str:
    r"""The one spelling of an answer: `0.5`, `\frac12` and `1/2` give the same, and so do `(x+1)^2` and `x^2+2x+1`.

    Args:
        parsed: Math-Verify's reading, not empty.
        text: what was read; its folded words are the spelling of what is not mathematics or has no finite spelling.
    """
    is_words = is_prose(text) and not any(character.isdigit() for character in text) and "$" not in text
    if is_words or not is_expression(parsed):
        return fold_text(text)
    try:
        return str(_simplest(_right_hand_side(parsed[0])))
    except _SYMPY_ERRORS:  # such as an integer of more digits than Python prints
        return fold_text(text)


def _simplest(expression: "Basic") -> "Basic":
    """Decimals made fractions, what was left unevaluated evaluated, products expanded, roots out of denominators."""
    from sympy import Expr, FiniteSet, Float, MatrixBase, Rational, Tuple, expand, radsimp
    from sympy.core.relational import Relational

    if isinstance(expression, MatrixBase):
        return expression.applyfunc(_simplest)
    if isinstance(expression, FiniteSet | Tuple):
        kind = FiniteSet if isinstance(expression, FiniteSet) else Tuple
        return kind(*map(_simplest, expression.args))
    exact = expression.xreplace({number: Rational(str(number)) for number in expression.atoms(Float)}).doit()
    if isinstance(exact, Relational):
        return exact.canonical
    return radsimp(expand(exact)) if isinstance(exact, Expr) else exact


def is_clock(text: str) -> bool:
    """Whether a text is a time of day and nothing else."""
    return bool(_CLOCK.fullmatch(fold_text(text)))


def read_clock(text: str) -> str | None:
    """The last time of day in a text (`4:30 p.m.` gives `4:30pm`), which Math-Verify would read as a ratio."""
    times = _CLOCK.findall(text[-MAX_PARSED_CHARACTERS:])
    return re.sub(r"[\s.]", "", times[-1]).casefold().removeprefix("0") if times else None
