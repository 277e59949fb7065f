"""The scores as the paper prints them: policies by benchmarks and averages, with differences from the reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drift.evaluation.numbers_in_words import UNDEFINED, p_text, points_text, share_text
from drift.evaluation.outcomes import REFERENCE, policy_names

if TYPE_CHECKING:
    from rich.table import Table

AVERAGE_NAMES = {"math": "math average", "general": "general average", "all": "average"}
_WIDTH_OF_ALL_COLUMNS = 112
_WIDEST_NAME = 22


@dataclass(frozen=True)
class Column:
    """A benchmark or an average.

    Attributes:
        name: of the benchmark, or which average.
        size: how many problems or benchmarks it is over, in words.
        policies: by name, entries that have `multi_at_k` and `ci95` (k = 1…K).
        differences: by name, entries that have `p_value` as well.
        is_average: whether it is over benchmarks.
    """

    name: str
    size: str
    policies: Mapping[str, Mapping[str, Any]]
    differences: Mapping[str, Mapping[str, Any]]
    is_average: bool = False


def columns_of(scores: Mapping[str, Any]) -> list[Column]:
    """The benchmarks, then the averages over more than one of them."""
    benchmarks = [
        Column(
            name,
            f"{entry['problems']:,} problem{'s' if entry['problems'] > 1 else ''}",
            {policy: entry[policy] for policy in policy_names(entry)},
            entry.get("differences", {}),
        )
        for name, entry in scores["benchmarks"].items()
    ]
    of_domain = {name: average for name, average in scores["averages_with_intervals"].items() if average is not None}
    averages = [
        Column(
            AVERAGE_NAMES[domain],
            f"{len(average['benchmarks'])} benchmarks",
            average["policies"],
            average["differences"],
            is_average=True,
        )
        for domain, average in of_domain.items()
        if len(average["benchmarks"]) > 1
        and (domain == "all" or average["benchmarks"] != of_domain["all"]["benchmarks"])
    ]
    return benchmarks + averages


def budget(scores: Mapping[str, Any]) -> int:
    """K, the number of turns the scores are about."""
    entry = next(iter(scores["benchmarks"].values()))
    return len(entry[policy_names(entry)[0]]["multi_at_k"])


def all_policies(scores: Mapping[str, Any]) -> list[str]:
    """The policies of all benchmarks, in the order in which they appear."""
    return list(dict.fromkeys(policy for entry in scores["benchmarks"].values() for policy in policy_names(entry)))


def overview_table(scores: Mapping[str, Any], width: int) -> "Table":
    """multi@K of every policy on every benchmark for a terminal, one line each.

    Args:
        scores: what `drift.evaluation.score.score` returned.
        width: of the terminal, in characters; from 112 on, multi@1 and the correction rate are there as well.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shows_all = width >= _WIDTH_OF_ALL_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("", overflow="fold", max_width=_WIDEST_NAME)
    names = [f"multi@{budget(scores)}", "difference", "p"]
    for name in [*(["multi@1"] if shows_all else []), *names, *(["correction rate"] if shows_all else [])]:
        table.add_column(name, justify="right", no_wrap=True)
    for column in columns_of(scores):
        table.add_row(Text(column.name), *([""] if shows_all else []), Text(column.size), style="bold")
        for policy, entry in column.policies.items():
            cells = [*([at_turn(entry, 0)] if shows_all else []), at_turn(entry, -1), *difference_cells(column, policy)]
            rate = correction_rate_cell(entry)
            last = policy == list(column.policies)[-1]
            texts = [f"  {policy}", *cells, *([rate] if shows_all else [])]
            table.add_row(*map(Text, texts), end_section=last)
    return table


def at_turn(entry: Mapping[str, Any], index: int) -> str:
    """multi@k and its interval."""
    return share_text(entry["multi_at_k"][index], entry["ci95"][index])


def correction_rate_cell(entry: Mapping[str, Any]) -> str:
    """Correction rate and its interval; nothing for an average, which has none."""
    rate = "correction_rate_overall"
    return share_text(entry[rate], entry[f"{rate}_ci95"]) if rate in entry else ""


def difference_cells(column: Column, policy: str) -> list[str]:
    """The difference of multi@K from the reference and its p-value; nothing for the reference itself."""
    if policy not in column.differences:
        return ["", ""]
    difference = column.differences[policy]
    return [points_text(difference["multi_at_k"][-1], difference["ci95"][-1]), p_text(difference["p_value"][-1])]


def overview_rows(scores: Mapping[str, Any]) -> list[list[tuple[str, str]]]:
    """The same as rows of cells, a cell being a number and its interval: policies, then differences, then their p.

    Returns:
        Each row begins with the policy's name and what it shows (`""`, `difference`, `p`).
    """
    columns, rows = columns_of(scores), []
    for policy in all_policies(scores):
        of_policy = [column.policies.get(policy) for column in columns]
        cells = [split(UNDEFINED if entry is None else at_turn(entry, -1)) for entry in of_policy]
        rows.append([(policy, ""), *((number.removesuffix(" %"), ends) for number, ends in cells)])
    for policy in all_policies(scores):
        of_policy = [difference_cells(column, policy) for column in columns]
        if policy != REFERENCE and any(cell for cell, _ in of_policy):
            rows.append([(policy, "difference"), *(split(cell) for cell, _ in of_policy)])
            rows.append([(policy, "p"), *((p, "") for _, p in of_policy)])
    return rows


def split(text: str) -> tuple[str, str]:
    """A number and its interval, apart."""
    number, _, ends = text.partition(" [")
    return number, f"[{ends}" if ends else ""
