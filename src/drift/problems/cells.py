"""From the cell of a file to text: what may stand in a problem, in an answer and in an id."""

import math
import re

import numpy as np

from drift.problems.faults import CellFault
from drift.problems.rows import json_type


def problem_text(cell: object) -> str:
    """The stripped text of a problem.

    Raises:
        CellFault: when the cell is no text, or empty.
    """
    if cell is not None and not isinstance(cell, str):
        raise CellFault(f"is {json_type(cell)}, not text")
    return _filled(cell or "")


def is_blank(cell: object) -> bool:
    """Whether a cell holds nothing, or a text of white space."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def scalar_text(cell: object) -> str:
    """The stripped text of an answer or an id; a whole number loses its decimals (29.0 becomes `29`).

    Raises:
        CellFault: when the cell is neither text nor a finite number, or empty.
    """
    match cell:
        case bool():
            raise CellFault("is a boolean, not text or a number")
        case None | str():
            return _filled(cell or "")
        case int():
            return str(cell)
        case float():
            return _number_text(cell)
        case _:
            raise CellFault(f"is {json_type(cell)}, not text or a number")


def last_match(pattern: re.Pattern[str], text: str) -> str:
    """The first group of the last match.

    Raises:
        CellFault: when nothing matches, or the group is empty.
    """
    matches = list(pattern.finditer(text))
    if not matches:
        raise CellFault(f"has no match of `answer_pattern` {pattern.pattern!r}")
    found = (matches[-1].group(1) or "").strip()
    if not found:
        raise CellFault(f"is empty where `answer_pattern` {pattern.pattern!r} matches")
    return found


def _filled(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        raise CellFault("is empty")
    try:
        stripped.encode()
    except UnicodeEncodeError as error:
        raise CellFault("holds half of a surrogate pair (\\ud800…\\udfff), which is no character") from error
    return stripped


def _number_text(number: float) -> str:
    if not math.isfinite(number):
        raise CellFault(f"is {number}, not a finite number")
    # Adding 0.0 turns -0.0 into 0.0.
    return np.format_float_positional(number + 0.0, trim="-")
