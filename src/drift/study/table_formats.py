"""A table of the study as Markdown, as LaTeX (booktabs), and for a terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drift.evaluation import latex
from drift.evaluation.summary import escaped as markdown_escaped
from drift.evaluation.summary import markdown_table
from drift.study.table import StudyTable

if TYPE_CHECKING:
    from rich.table import Table


def table_markdown(table: StudyTable) -> str:
    """The table with its title; intervals stand behind the numbers."""
    lines = [["", *map(markdown_escaped, table.header)], [":---", *["---:"] * len(table.header)]]
    for row in table.rows:
        if row.cells:
            lines.append([markdown_escaped(row.label), *(" ".join(filter(None, cell)) for cell in row.cells)])
        else:
            lines.append([f"**{markdown_escaped(row.label)}**", *[""] * len(table.header)])
    return f"**{markdown_escaped(table.heading)}**\n\n{markdown_table(lines)}\n"


def tables_latex(tables: Mapping[str, StudyTable]) -> str:
    """`table` environments, one after another; they need booktabs and graphicx."""
    needs = r"% Needs \usepackage{booktabs,graphicx,amssymb} and, for quotation marks, \usepackage[T1]{fontenc}."
    return "\n".join([needs, *(table_latex(name, table) for name, table in tables.items())])


def table_latex(name: str, table: StudyTable) -> str:
    """One `table` environment: numbers in one line, their intervals small below."""
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{symbols(table.heading)}; 95\,\% intervals over problems and seeds below.}}",
        rf"\label{{tab:{name.replace('_', '-')}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l*{{{len(table.header)}}}{{c}}}}",
        r"\toprule",
        latex.row(["", *(heading(name) for name in table.header)]),
        r"\midrule",
    ]
    for index, row in enumerate(table.rows):
        if not row.cells:
            lines += [r"\midrule"] if index else []
            lines.append(rf"\multicolumn{{{1 + len(table.header)}}}{{l}}{{\textit{{{symbols(row.label)}}}}} \\")
            continue
        lines.append(latex.row([symbols(row.label), *(latex.number_set(number) for number, _ in row.cells)]))
        if any(ends for _, ends in row.cells):
            lines.append(latex.row(["", *(latex.number_set(ends) for _, ends in row.cells)], small=True))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}"]) + "\n"


def heading(name: str) -> str:
    """The name of a column, in several lines where it is long."""
    return with_symbols(latex.heading(name))


def symbols(text: str) -> str:
    """Text as LaTeX sets it."""
    return with_symbols(latex.escaped(text))


def with_symbols(escaped: str) -> str:
    """LaTeX in which the characters that pdfTeX has no glyph for are mathematics."""
    for character, command in {"β": r"\beta", "γ": r"\gamma", "∞": r"\infty", "…": r"\dots"}.items():
        escaped = escaped.replace(character, rf"\ensuremath{{{command}}}")
    return escaped


def table_rich(table: StudyTable) -> "Table":
    """The table for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=Text(table.heading),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    drawn.add_column("", overflow="fold")
    for name in table.header:
        drawn.add_column(Text(name), justify="right")
    for row in table.rows:
        cells = row.cells or [("", "")] * len(table.header)
        texts = [" ".join(filter(None, cell)) for cell in cells]
        drawn.add_row(*map(Text, [row.label, *texts]), style="" if row.cells else "bold")
    return drawn
