r"""How a row of a published set becomes a problem: one function for each way the sets are laid out.

A row that cannot be asked as it stands (it needs a picture, its label is known to be wrong) is left out for a reason
that is counted; a row that does not hold what its columns should is a fault.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drift.problems.cells import is_blank, problem_text, scalar_text
from drift.problems.faults import CellFault
from drift.problems.multiple_choice import LETTERS, shuffled_options, with_options
from drift.problems.problem import VerifierName
from drift.problems.rows import json_type
from drift.verification.answers import extract_answer

_UNBRACED_BOX = re.compile(r"\\(?:boxed|fbox)\s+([^\s${}]+)")
_CALCULATOR_NOTE = re.compile(r"<<.*?>>")
_OPTION_IN_TEXT = re.compile(rf"\(([{LETTERS.lower()}])\)")

THEOREM_VERIFIERS: Mapping[str, VerifierName] = {
    "integer": "integer",
    "float": "float",
    "list of integer": "list",
    "list of float": "list",
    "bool": "bool",
    "option": "choice",
}
"""Who judges an answer of TheoremQA, by its `Answer_type`."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a row says, before it has an id; the names are those of `Problem`.

    Attributes:
        answer_type: decides the verifier in a set that has several kinds of answers.
    """

    problem: str
    answer: str
    num_choices: int | None = None
    original: str | None = None
    solution: str | None = None
    answer_type: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not asked.

    Attributes:
        reason: why, as it is counted.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row by column; a column that the set may lack is None there."""

    cells: Mapping[str, object]

    def text(self, column: str) -> str:
        """A text that is not empty.

        Raises:
            CellFault: naming the column.
        """
        return self._read(column, problem_text)

    def text_if_any(self, column: str) -> str | None:
        """A text, None where the row has none or an empty one.

        Raises:
            CellFault: naming the column, when it holds something else.
        """
        return None if is_blank(self.cells[column]) else self.text(column)

    def scalar(self, column: str) -> str:
        """A text or a number, as text.

        Raises:
            CellFault: naming the column.
        """
        return self._read(column, scalar_text)

    def options(self, column: str) -> list[str]:
        """A list of options; one may be empty, as some are in published sets.

        Raises:
            CellFault: naming the column.
        """
        cell = self.cells[column]
        if not isinstance(cell, Sequence) or isinstance(cell, str):
            raise CellFault(f"`{column}` is {json_type(cell)}, not a list of options")
        try:
            return [option.strip() if isinstance(option, str) else scalar_text(option) for option in cell]
        except CellFault as fault:
            raise CellFault(f"`{column}` has an option that {fault}") from fault

    def index(self, column: str, size: int) -> int:
        """A position in a list of `size`.

        Raises:
            CellFault: naming the column.
        """
        cell = self.cells[column]
        if isinstance(cell, bool) or not isinstance(cell, int) or not 0 <= cell < size:
            raise CellFault(f"`{column}` is {cell!r}, not the position of one of {size} options")
        return cell

    def _read(self, column: str, read: Callable[[object], str]) -> str:
        try:
            return read(self.cells[column])
        except CellFault as fault:
            raise CellFault(f"`{column}` {fault}") from fault


RowReader = Callable[[Row], Draft | LeftOut]


def boxed_in_solution(row: Row) -> Draft:
    r"""MATH: the answer is in the last `\boxed{}` of the solution."""
    solution = row.text("solution")
    answer = extract_answer(solution)
    if answer is None and (unbraced := _UNBRACED_BOX.findall(solution)):
        answer = unbraced[-1]
    if not answer:
        raise CellFault(r"`solution` has no \boxed{} with an answer")
    return Draft(row.text("problem"), answer, solution=solution)


def answer_beside_solution(row: Row) -> Draft:
    """MATH-500: the answer has a column of its own."""
    return Draft(row.text("problem"), row.scalar("answer"), solution=row.text_if_any("solution"))


def answer_after_hashes(row: Row) -> Draft:
    """GSM8K: the answer follows the last `####` of the solution, whose calculator notes `<<2+3=5>>` are left out."""
    steps, marker, answer = row.text("answer").rpartition("####")
    if not (marker and answer.strip()):
        raise CellFault("`answer` has no #### with an answer behind it")
    solution = _CALCULATOR_NOTE.sub("", steps).strip()
    return Draft(row.text("question"), answer.strip(), solution=solution or None)


def rephrased(row: Row) -> Draft | LeftOut:
    """MetaMathQA's MATH part: the answer follows the last `The answer is:` of the response."""
    if not row.text("type").startswith("MATH_"):
        return LeftOut("not of the MATH part")
    response = row.text("response")
    _, marker, behind = response.rpartition("The answer is:")
    answer = behind.strip().partition("\n")[0].strip()
    if not (marker and answer):
        return LeftOut("no answer in the response")
    return Draft(row.text("query"), answer, original=row.text("original_question"), solution=response)


def theorem_question(row: Row) -> Draft | LeftOut:
    """TheoremQA: the type of the answer chooses the verifier. Options, where there are any, are in the question."""
    if row.cells["Picture"] is not None:
        return LeftOut("needs a picture")
    question, kind = row.text("Question"), row.text("Answer_type")
    answer = _theorem_answer(row.cells["Answer"])
    match kind:
        case "bool":
            return Draft(question, answer, num_choices=2, answer_type=kind)
        case "option":
            return Draft(question, answer.strip("()").upper(), _options_in(question), answer_type=kind)
        case _ if kind in THEOREM_VERIFIERS:
            return Draft(question, answer, answer_type=kind)
    raise CellFault(f"`Answer_type` is {kind!r}, not integer, float, bool, option or a list of numbers")


def _theorem_answer(cell: object) -> str:
    """The answer as text, whether the file holds it as text or as the value itself."""
    match cell:
        case bool():
            return str(cell)
        case list():
            return f"[{', '.join(map(_number, cell))}]"
        case _:
            try:
                return scalar_text(cell)
            except CellFault as fault:
                raise CellFault(f"`Answer` {fault}") from fault


def _number(element: object) -> str:
    """An element of a list: whole floats keep their decimals, because the verifier has another rule for integers."""
    return np.format_float_positional(element, trim="0") if isinstance(element, float) else scalar_text(element)


def _options_in(question: str) -> int | None:
    """How many options `(a)`, `(b)` … a question lists, None when it lists no two."""
    letters = set(_OPTION_IN_TEXT.findall(question))
    listed = next((index for index, letter in enumerate(LETTERS.lower()) if letter not in letters), len(LETTERS))
    return listed if listed >= 2 else None


def numbered_choice(row: Row) -> Draft:
    """MMLU: `answer` is the position of the right one of `choices`."""
    options = row.options("choices")
    return _choice(row.text("question"), options, "choices", _letter_at(row, "answer", options))


def redux_choice(row: Row) -> Draft | LeftOut:
    """MMLU-Redux: only questions whose annotators found nothing wrong."""
    kind = row.text("error_type")
    return numbered_choice(row) if kind == "ok" else LeftOut(f"marked {kind}")


def corrected_redux_choice(row: Row) -> Draft | LeftOut:
    """MMLU-Redux with the annotators' corrections: other questions count where a correction names one option."""
    kind = row.text("error_type")
    if kind == "ok":
        return numbered_choice(row)
    options = row.options("choices")
    letter = _corrected_letter(row.cells["correct_answer"], options)
    if letter is None:
        return LeftOut(f"marked {kind}, without a correction that names one option")
    return _choice(row.text("question"), options, "choices", letter)


def _corrected_letter(correction: object, options: Sequence[str]) -> str | None:
    """The option that a correction names by its position, its letter or its text.

    None when it names none, or several: "2" is the third option, unless "2" is another one's text.
    """
    letters = LETTERS[: len(options)]
    text = str(correction).strip() if isinstance(correction, str | int) else ""
    named: set[str] = {letter for letter, option in zip(letters, options, strict=True) if text and option == text}
    if text.isdecimal() and int(text) < len(letters):
        named.add(letters[int(text)])
    if len(text) == 1 and text.upper() in letters:
        named.add(text.upper())
    return named.pop() if len(named) == 1 else None


def lettered_choice(row: Row) -> Draft:
    """MMLU-Pro: up to ten `options`; the letter and the position of the right one must agree."""
    options = row.options("options")
    letter = _letter_at(row, "answer_index", options)
    if row.text("answer") != letter:
        raise CellFault(f"`answer` is {row.text('answer')!r}, but `answer_index` says {letter}")
    return _choice(row.text("question"), options, "options", letter)


def shuffled_choice(row: Row) -> Draft:
    """GPQA: the right answer has a column of its own, so options are shuffled, by a fixed seed for each question."""
    question = row.text("Question")
    wrong = [row.scalar(f"Incorrect Answer {number}") for number in (1, 2, 3)]
    options, letter = shuffled_options(question, row.scalar("Correct Answer"), wrong)
    return _choice(question, options, "Incorrect Answer", letter)


def _letter_at(row: Row, column: str, options: Sequence[str]) -> str:
    return LETTERS[row.index(column, min(len(options), len(LETTERS)))]


def _choice(question: str, options: Sequence[str], column: str, letter: str) -> Draft:
    try:
        problem = with_options(question, options)
    except CellFault as fault:
        raise CellFault(f"`{column}` {fault}") from fault
    return Draft(problem, letter, len(options))
