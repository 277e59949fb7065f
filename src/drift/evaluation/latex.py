"""The policies by benchmarks and averages as a LaTeX table (booktabs)."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from drift.evaluation.overview import budget, columns_of, overview_rows

_HEADING_CHARACTERS = 16
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "-": "{-}",  # two or three in a row would become a dash
    "[": "{[}",  # after a line's end these three would be an argument of it
    "]": "{]}",
    "*": "{*}",
}


def overview_latex(scores: Mapping[str, Any]) -> str:
    """A `table` environment: numbers in one line, their intervals small below; needs booktabs and graphicx.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    columns, k = columns_of(scores), budget(scores)
    num_averages = sum(column.is_average for column in columns)
    averages = rf"@{{\hspace{{10pt}}}}*{{{num_averages}}}{{c}}" if num_averages else ""
    lines = [
        r"% Needs \usepackage{booktabs,graphicx} and, for quotation marks in names, \usepackage[T1]{fontenc}.",
        r"\begin{table}",
        r"\centering",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{multi@{k} in per cent, differences from the reference in points; 95\,\% intervals below.}}",
        r"\label{tab:multi-at-k}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{l*{{{len(columns) - num_averages}}}{{c}}{averages}}}",
        r"\toprule",
        row([escaped(f"multi@{k}"), *(heading(column.name) for column in columns)]),
        row(["", *(escaped(column.size) for column in columns)], small=True),
        r"\midrule",
    ]
    previous = ""
    for (policy, kind), *cells in overview_rows(scores):
        if kind == "difference" and previous == "":
            lines.append(r"\midrule")
        previous = kind
        label = {"": escaped(policy), "difference": escaped(f"{policy}, difference"), "p": "p"}[kind]
        lines.append(row([label, *(number_set(number) for number, _ in cells)], small=kind == "p"))
        if any(ends for _, ends in cells):
            lines.append(row(["", *(number_set(ends) for _, ends in cells)], small=True))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}"]) + "\n"


def row(cells: Sequence[str], small: bool = False) -> str:
    """One line of a tabular, its cells finished."""
    size = r"\scriptsize " if small else ""
    return " & ".join(f"{size}{cell}" if cell else "" for cell in cells) + r" \\"


def heading(name: str) -> str:
    """The name of a column, in several lines where it is long."""
    lines = [escaped(line) for line in wrap(" ".join(name.split()), _HEADING_CHARACTERS)] or [""]
    stacked = r" \\ ".join(lines)
    return stacked if len(lines) == 1 else rf"\begin{{tabular}}[b]{{@{{}}c@{{}}}}{stacked}\end{{tabular}}"


def number_set(number: str) -> str:
    """A number or an interval in mathematics, where signs are signs."""
    return f"${number.replace('< ', '<')}$" if number else ""


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))
