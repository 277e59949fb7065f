"""Multiple choice: the options as part of the problem's text, and their order."""

from collections.abc import Sequence
from random import Random

from drift.problems.faults import CellFault

LETTERS = "ABCDEFGHIJ"
"""What options are called; the verifier `choice` reads these."""


def with_options(question: str, options: Sequence[str]) -> str:
    """The question, an empty line, and one line for each option: `(A) …`.

    Raises:
        CellFault: when there are fewer than two options, or more than letters.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise CellFault(f"are {len(options)}; there must be 2 to {len(LETTERS)}")
    lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return question + "\n\n" + "\n".join(lines)


def shuffled_options(question: str, right: str, wrong: Sequence[str]) -> tuple[list[str], str]:
    """The options in an order that the question's text decides, and the letter of the right one.

    The order is the same on every machine and in every run, whatever else is in the file.
    """
    order = list(range(1 + len(wrong)))
    Random(f"order of the options of {question}").shuffle(order)
    options = [right, *wrong]
    return [options[index] for index in order], LETTERS[order.index(0)]
