r"""Answers that count as right when they are near enough: the rules of TheoremQA, one verifier per type of answer.

| type | right when |
|---|---|
| `integer` | it rounds to the gold answer |
| `float` | it is within 4 % of the gold answer (a gold answer of 0 only when it is 0) |
| `list` | it has as many elements and, both in order of size, each is right by the rule of the gold element |
| `bool` | it says the same: true or yes, false or no |

Options use the verifier `choice`. The benchmark sorts lists before it compares them, so these do too: `(4, -1)` is
right for `[-1, 4]`.
"""

import re
from fractions import Fraction

from drift.errors import UserError
from drift.verification import expressions
from drift.verification.answers import (
    MAX_RESPONSE_CHARACTERS,
    extract_answer,
    fold_words,
    read_number,
    read_only_number,
    stated_words,
)
from drift.verification.grade import UNPARSABLE, Grade, judge
from drift.verification.latex import closing_mathematics, plain_latex

RELATIVE_TOLERANCE = Fraction(4, 100)
MAX_ELEMENTS = 100

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_BRACKETED = re.compile(r"\\?[\[({]\s*([^\[\](){}]*,?[^\[\](){}]*)\\?[\])}]")
_OPENING, _CLOSING = "([{", ")]}"
_UNIT = re.compile(
    r"(?:\\[,;: ]|[\s~])*(?:\\(?:text|textrm|mathrm|mbox)\s*\{[^{}]*\}(?:\^\{?-?\d+\}?)?[\s/]*)+\Z"
    r"|(?<=[\d}])\s+[A-Za-z\u00b5\u03a9][\w/^{}*.\u00b7-]*\Z"
)
_RELATION = re.compile(r"=|\\approx|\\simeq|\u2248")


def verify_integer(gold: str, response: str) -> Grade:
    """A number that rounds to the gold answer.

    Raises:
        UserError: when the gold answer is not an integer.
    """
    gold_number = read_only_number(gold)
    if gold_number is None or gold_number.denominator != 1:
        raise UserError(f"The gold answer {gold[:80]!r} is not an integer.")
    number = _read_value(response)
    return UNPARSABLE if number is None else judge(round(number) == gold_number, _spell(number))


def verify_float(gold: str, response: str) -> Grade:
    """A number within 4 % of the gold answer.

    Raises:
        UserError: when the gold answer is not one number.
    """
    gold_number = read_only_number(gold)
    if gold_number is None:
        raise UserError(f"The gold answer {gold[:80]!r} is not one number.")
    number = _read_value(response)
    return UNPARSABLE if number is None else judge(is_near(gold_number, number), _spell(number))


def verify_list(gold: str, response: str) -> Grade:
    """Numbers between brackets or commas: integers by the rule of `integer`, others by the rule of `float`.

    Raises:
        UserError: when the gold answer is not a list of numbers such as `[1, 2.5]`.
    """
    gold_elements = [element.strip() for element in gold.strip().strip("[]").split(",")]
    gold_numbers = [number for element in gold_elements if (number := read_only_number(element)) is not None]
    if len(gold_numbers) < len(gold_elements):
        raise UserError(f"The gold answer {gold[:80]!r} is not a list of numbers such as [1, 2.5].")
    numbers = _read_values(response)
    if not numbers:
        return UNPARSABLE
    wanted = sorted((number, element) for number, element in zip(gold_numbers, gold_elements, strict=True))
    correct = len(numbers) == len(wanted) and all(
        is_near(gold_number, number) if "." in element else round(number) == gold_number
        for (gold_number, element), number in zip(wanted, sorted(numbers), strict=True)
    )
    return judge(correct, f"[{', '.join(map(_spell, numbers))}]")


def verify_bool(gold: str, response: str) -> Grade:
    """True or false, yes or no.

    Raises:
        UserError: when the gold answer is neither.
    """
    gold_truth = _TRUTH.get(fold_words(gold))
    if gold_truth is None:
        raise UserError(f"The gold answer {gold[:80]!r} is neither true nor false.")
    truth = _read_truth(response)
    return UNPARSABLE if truth is None else judge(truth == gold_truth, str(truth))


def is_near(gold: Fraction, number: Fraction) -> bool:
    """|number - gold| <= 0.04 |gold|."""
    return abs(number - gold) <= RELATIVE_TOLERANCE * abs(gold)


def _spell(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.6g}"


def _read_value(response: str) -> Fraction | None:
    """The number an explicit answer gives, else the last one of the response."""
    explicit = extract_answer(response)
    if explicit is not None:
        return _value(explicit)
    response = response[-MAX_RESPONSE_CHARACTERS:]
    closing = closing_mathematics(response)
    return _value(closing) if closing else read_number(response)


def _value(text: str) -> Fraction | None:
    r"""The number a text is, plain, with a unit, or calculated (`\frac{\pi}{2}`), else the last one in it."""
    text = plain_latex(_UNIT.sub("", _RELATION.split(text)[-1]))
    if (number := read_only_number(text)) is not None:
        return number
    number = expressions.numeric_value(expressions.parse_explicit(text))
    return read_number(text) if number is None else number


def _read_values(response: str) -> list[Fraction] | None:
    """The numbers of a list; None when there is no list or an element is not a number."""
    explicit = extract_answer(response)
    response = response[-MAX_RESPONSE_CHARACTERS:]
    text = explicit if explicit is not None else closing_mathematics(response)
    if text is None:
        bracketed = _BRACKETED.findall(response)
        if not bracketed:
            return None
        text = bracketed[-1]
    elements = _elements(text)
    values = [_value(element) for element in elements[:MAX_ELEMENTS]]
    numbers = [value for value in values if value is not None]
    return numbers if len(numbers) == len(elements) else None


def _elements(text: str) -> list[str]:
    """What stands between the commas of a list, whose own brackets are dropped; inner brackets are kept whole."""
    text = re.sub(r"\\left|\\right|\\(?=[{}])", "", text.strip().strip("$ ")).rpartition("=")[2].strip()
    if text[:1] in tuple(_OPENING) and text[-1:] in tuple(_CLOSING):
        text = text[1:-1]
    elements, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0:
            elements.append(text[start:position])
            start = position + 1
    return [element for element in (*elements, text[start:]) if element.strip()]


def _read_truth(response: str) -> bool | None:
    """The truth an explicit answer or "answer is" gives, else the last true or false of the response."""
    explicit = extract_answer(response)
    stated = stated_words(response) if explicit is None else explicit
    if stated is not None:
        return _last_truth(stated, "true|false|yes|no")
    return _last_truth(response[-MAX_RESPONSE_CHARACTERS:], "true|false")


def _last_truth(text: str, words: str) -> bool | None:
    found = re.findall(rf"\b(not )?({words})\b", fold_words(text))
    return None if not found else _TRUTH[found[-1][1]] != bool(found[-1][0])
