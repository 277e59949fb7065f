"""The scores in words: one table for the terminal and the same for Markdown, with 95 % intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drift.evaluation.score import policy_names

if TYPE_CHECKING:
    from rich.table import Table

UNDEFINED = "-"
NOTE = "[95 % interval]; differences of shares in points"


def summary_table(scores: Mapping[str, Any]) -> "Table":
    """The scores as a table of at most 80 columns for two policies.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    header, *_ = summary_sections(scores)[0]
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for section in summary_sections(scores):
        _, title, *rows = section
        table.add_row(*title, style="bold")
        for row in rows:
            table.add_row(*row, end_section=row is rows[-1])
    table.caption = "\n".join([NOTE, *chance_sentences(scores)])
    return table
