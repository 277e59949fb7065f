r"""The verifiers: one function each, and the table that names them.

A verifier takes the gold answer and the response and returns a `Grade`. To add one, write the function, add its row to
`VERIFIERS`, and its name to `VerifierName` in `drift.problems.problem`.
"""

from collections.abc import Callable

from drift.errors import UserError
from drift.problems.problem import VERIFIER_NAMES, VerifierName
from drift.verification import expressions
from drift.verification.answers import (
    MAX_PARSED_CHARACTERS,
    MAX_RESPONSE_CHARACTERS,
    extract_answer,
    fold_text,
    fold_words,
    is_words,
    read_number,
    read_only_number,
    stated_words,
)
from drift.verification.choices import read_choice
from drift.verification.grade import UNPARSABLE, Grade, judge
from drift.verification.tolerance import verify_bool, verify_float, verify_integer, verify_list


def verify_math(gold: str, response: str) -> Grade:
    r"""Mathematical equality, by Math-Verify: the explicit answer, else the last number or expression of the text.

    Two rules correct Math-Verify. A sum or product of integers that is not carried out is no answer, unless the gold
    answer is one. Times of day (two digits behind the colon) are compared as text, since Math-Verify divides them:
    `12:30` would equal `2:5`; the price is that a ratio such as `3:10` must be given in exactly these terms.
    Known to be lenient: `30/2` for 15, `9%` for 9, decimals that agree to six places, the right-hand side of any
    equation (`28 = 29` for 29).

    Raises:
        UserError: when the gold answer cannot be read.
    """
    explicit = extract_answer(response)
    text = response if explicit is None else explicit
    if expressions.is_clock(gold):
        answer = expressions.read_clock(text) or fold_text(explicit or "")
        return judge(answer == expressions.read_clock(gold), answer) if answer else UNPARSABLE
    if explicit is not None and expressions.is_clock(explicit):
        return Grade("wrong", expressions.read_clock(explicit))
    stated = stated_words(response) if explicit is None else explicit
    if is_words(gold) and stated and fold_words(stated) == fold_words(gold):
        return Grade("correct", fold_words(gold))
    return _judge_expression(gold, text, is_explicit=explicit is not None)


def _judge_expression(gold: str, text: str, is_explicit: bool) -> Grade:
    """The part of `verify_math` that is left when no time of day is in play."""
    parsed_gold = expressions.parse_gold(gold)
    if not parsed_gold:
        raise UserError(f"The gold answer {gold[:80]!r} is not mathematics that Math-Verify can read.")
    parsed = expressions.parse_explicit(text) if is_explicit else expressions.parse_free_text(text)
    if not parsed:
        return UNPARSABLE
    if expressions.is_bare_calculation(parsed) and not expressions.is_bare_calculation(parsed_gold):
        return UNPARSABLE
    answer = text if is_explicit else str(parsed[-1])
    return judge(expressions.equal(parsed_gold, parsed), expressions.canonical(parsed, answer))


def verify_numeric(gold: str, response: str) -> Grade:
    """Exact equality of numbers: the last number of the explicit answer, else of the text. No tolerance.

    Raises:
        UserError: when the gold answer is not one number.
    """
    gold_number = read_only_number(gold)
    if gold_number is None:
        raise UserError(f"The gold answer {gold[:80]!r} is not one number.")
    explicit = extract_answer(response)
    number = read_number(response if explicit is None else explicit)
    return UNPARSABLE if number is None else judge(number == gold_number, str(number))


def verify_choice(gold: str, response: str) -> Grade:
    """The option letter, A to J.

    Raises:
        UserError: when the gold answer is not one letter.
    """
    gold_letter = gold.strip().strip("()").upper()
    if len(gold_letter) != 1 or gold_letter not in "ABCDEFGHIJ":
        raise UserError(f"The gold answer {gold[:80]!r} is not an option letter from A to J.")
    explicit = extract_answer(response)
    text = response[-MAX_RESPONSE_CHARACTERS:] if explicit is None else explicit
    letter = read_choice(text, explicit is not None)
    return UNPARSABLE if letter is None else judge(letter == gold_letter, letter)


def verify_exact(gold: str, response: str) -> Grade:
    """The same words, but for white space and case: the explicit answer, else the whole response.

    Raises:
        UserError: when the gold answer is empty.
    """
    gold_words = fold_text(gold)
    if not gold_words:
        raise UserError("The gold answer is empty.")
    explicit = extract_answer(response)
    words = fold_text(response[-MAX_RESPONSE_CHARACTERS:] if explicit is None else explicit)
    return judge(words == gold_words, words) if words else UNPARSABLE


VERIFIERS: dict[VerifierName, Callable[[str, str], Grade]] = {
    "math": verify_math,
    "numeric": verify_numeric,
    "choice": verify_choice,
    "exact": verify_exact,
    "integer": verify_integer,
    "float": verify_float,
    "list": verify_list,
    "bool": verify_bool,
}


def grade(verifier: VerifierName, gold: str, response: str) -> Grade:
    """Grades one response in this process; mathematics may hang, `VerifierPool` may not.

    Args:
        verifier: a name of `VERIFIERS`.
        gold: the gold answer, plain (`29`, `\\frac{1}{2}`), not boxed.
        response: what the model wrote; only its last `MAX_RESPONSE_CHARACTERS` are read.

    Raises:
        UserError: when the verifier does not exist or cannot read the gold answer.
    """
    if verifier not in VERIFIERS:
        raise UserError(f"There is no verifier {verifier!r}; use one of {', '.join(VERIFIER_NAMES)}.")
    return VERIFIERS[verifier](gold, response[-MAX_RESPONSE_CHARACTERS:])


def check_gold(answer: str, verifier: VerifierName) -> str | None:
    """Why the verifier cannot use a gold answer, in one sentence; None when it can.

    It can when the gold answer, given as a response, is graded correct.
    """
    if len(answer) > MAX_PARSED_CHARACTERS:
        return f"The gold answer {answer[:80]!r}… is longer than {MAX_PARSED_CHARACTERS} characters."
    try:
        verdict = grade(verifier, answer, f"<answer>{answer}</answer>").verdict
    except UserError as error:
        return str(error)
    if verdict == "correct":
        return None
    return f"The gold answer {answer[:80]!r} is graded {verdict} against itself by the verifier {verifier!r}."
