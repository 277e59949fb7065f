"""The scores in words: one table for the terminal and the same for Markdown, with 95 % intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drift.evaluation.outcomes import REFERENCE, TRAINED, policy_names

if TYPE_CHECKING:
    from rich.table import Table

UNDEFINED = "-"
NOTES = (
    "[95 % intervals]; differences of shares are in points.",
    "Correction rate: of the problems wrong at turn 1, the share solved later.",
)


def summary_table(scores: Mapping[str, Any]) -> "Table":
    """The scores as a table for the terminal; two policies and their difference fit into 80 columns.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, caption_justify="left")
    for index, name in enumerate(header(scores)):
        table.add_column(name, justify="right" if index else "left", no_wrap=index == 0)
    for title, *rows in sections(scores):
        table.add_row(*map(Text, title), style="bold")
        for row in rows:
            table.add_row(*map(Text, row), end_section=row is rows[-1])
    table.caption = Text("\n".join([*NOTES, *chance_sentences(scores)]))
    return table


def summary_markdown(scores: Mapping[str, Any]) -> str:
    """The scores as a Markdown table with its notes below.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    names = header(scores)
    lines = [names, [":---", *["---:"] * (len(names) - 1)]]
    for title, *rows in sections(scores):
        lines += [[f"**{title[0]}**", *title[1:]], *rows]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines)
    return "\n\n".join([table, " ".join([*NOTES, *chance_sentences(scores)])]) + "\n"


def header(scores: Mapping[str, Any]) -> list[str]:
    """Names of the columns: none for the labels, then the policies, then their difference where there is one."""
    first = next(iter(scores["benchmarks"].values()))
    return ["", *policy_names(first), *(["difference"] if "difference" in first else [])]


def sections(scores: Mapping[str, Any]) -> list[list[list[str]]]:
    """Blocks of rows, each with its title first: the benchmarks, then their averages if there are several."""
    benchmarks = scores["benchmarks"]
    blocks = [benchmark_rows(name, entry, len(header(scores))) for name, entry in benchmarks.items()]
    return [*blocks, average_rows(scores)] if len(benchmarks) > 1 else blocks


def benchmark_rows(name: str, entry: Mapping[str, Any], num_columns: int) -> list[list[str]]:
    """Title, multi@1…K, correction rate after turn 1 and distinct answers of one benchmark."""
    problems = f"{entry['problems']:,} problem{'s' if entry['problems'] > 1 else ''}"
    rows = [[name, problems, *[""] * (num_columns - 2)]]
    columns = [entry[policy] for policy in policy_names(entry)]
    difference = [entry["difference"]] if "difference" in entry else []
    for k in range(len(columns[0]["multi_at_k"])):
        cells = [share_text(column["multi_at_k"][k], column["ci95"][k]) for column in columns]
        rows.append([f"multi@{k + 1}", *cells, *[points_text(d["multi_at_k"][k], d["ci95"][k]) for d in difference]])
    rate, distinct = "correction_rate_overall", "distinct_answers"
    rates = [share_text(column[rate], column[f"{rate}_ci95"]) for column in columns]
    rows.append(["correction rate", *rates, *[points_text(d[rate], d[f"{rate}_ci95"]) for d in difference]])
    counts = [with_interval("{:.2f}", "", column[distinct], column[f"{distinct}_ci95"]) for column in columns]
    gains = [with_interval("{:+z.2f}", "", d[distinct], d[f"{distinct}_ci95"]) for d in difference]
    return [*rows, ["distinct answers", *counts, *gains]]


def average_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """Title and mean multi@K of each domain that has a benchmark."""
    benchmarks, names = scores["benchmarks"], header(scores)
    max_turns = len(next(iter(benchmarks.values()))[names[1]]["multi_at_k"])
    rows = [[f"mean multi@{max_turns}", f"{len(benchmarks)} benchmarks", *[""] * (len(names) - 2)]]
    for domain, average in scores["averages"].items():
        if average is not None:
            shares = [f"{100 * average[policy]:.1f} %" for policy in names[1:] if policy != "difference"]
            gain = [f"{100 * (average[TRAINED] - average[REFERENCE]):+z.1f}"] if "difference" in names else []
            rows.append([domain, *shares, *gain])
    return rows


def chance_sentences(scores: Mapping[str, Any]) -> list[str]:
    """What guessing reaches at multi@K, one sentence for each multiple-choice benchmark."""
    return [
        f"Guessing on {name}: multi@{len(chance['with_repetition'])} of {100 * chance['with_repetition'][-1]:.1f} %, "
        f"or {100 * chance['without_repetition'][-1]:.1f} % when no guess is repeated."
        for name, entry in scores["benchmarks"].items()
        if (chance := entry["chance"]) is not None
    ]


def share_text(share: float | None, interval: Sequence[float | None]) -> str:
    """A share as `46.1 % [38.3, 54.7]`."""
    return with_interval("{:.1f}", " %", share, interval, scale=100)


def points_text(difference: float | None, interval: Sequence[float | None]) -> str:
    """A difference of shares in points, as `+32.0 [+24.2, +39.8]`."""
    return with_interval("{:+z.1f}", "", difference, interval, scale=100)


def with_interval(
    number: str, unit: str, value: float | None, interval: Sequence[float | None], scale: float = 1
) -> str:
    """A value and its interval, each formatted by `number`; a dash when the value is not defined."""
    low, high = interval
    if value is None or low is None or high is None:
        return UNDEFINED
    value_text, low_text, high_text = (number.format(scale * end).replace("100.0", "100") for end in (value, low, high))
    return f"{value_text}{unit} [{low_text}, {high_text}]"
