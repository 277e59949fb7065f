"""What a table of the study is: rows of a label and of cells, a cell being a number and its 95 % interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drift.evaluation.numbers_in_words import UNDEFINED, Ends, points_text, share_text
from drift.evaluation.overview import split

TableCell = tuple[str, str]
EMPTY = ("", "")


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        label: its first cell.
        cells: numbers and intervals; none where the label is the heading of the lines below.
    """

    label: str
    cells: Sequence[TableCell] = ()


@dataclass(frozen=True)
class StudyTable:
    """One table.

    Attributes:
        title: what it shows, with units.
        header: of the columns after the labels.
        rows: its lines.
        paper: the paper's number for it, empty where the paper has none.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Row]
    paper: str = ""

    @property
    def heading(self) -> str:
        """Title and the paper's number."""
        return f"{self.title} ({self.paper})" if self.paper else self.title


def at_turn(entry: Mapping[str, Any] | None, index: int) -> TableCell:
    """multi@k at a turn."""
    return (UNDEFINED, "") if entry is None else share(entry["multi_at_k"], index)


def gain_at_turn(entry: Mapping[str, Any] | None, index: int) -> TableCell:
    """A difference of multi@k at a turn, in points."""
    if entry is None:
        return (UNDEFINED, "")
    return split(points_text(entry["multi_at_k"]["value"][index], entry["multi_at_k"]["ci95"][index]))


def share(metric: Mapping[str, Any], index: int) -> TableCell:
    """A share at a turn, in per cent."""
    return without_unit(share_text(metric["value"][index], metric["ci95"][index]))


def number(text: Callable[[float | None, Ends], str], metric: Mapping[str, Any]) -> TableCell:
    """A metric that is one number."""
    return without_unit(text(metric["value"], metric["ci95"]))


def without_unit(text: str) -> TableCell:
    """A number and its interval; the unit stands above the column."""
    value, ends = split(text)
    return value.removesuffix(" %"), ends


def seeds_cell(entry: Mapping[str, Any]) -> TableCell:
    """How many seeds."""
    return str(len(entry["seeds"])), ""


def mean_cell(over_seeds: Mapping[str, Any] | None, digits: int = 0) -> TableCell:
    """A mean over seeds with its interval, if there is one."""
    if over_seeds is None:
        return UNDEFINED, ""
    value, ends = over_seeds["value"], over_seeds["ci95"]
    text = f"{{:,.{digits}f}}"
    return text.format(value), f"[{text.format(ends[0])}, {text.format(ends[1])}]" if ends else ""
