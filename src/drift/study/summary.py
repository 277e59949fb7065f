"""The study for a terminal: one line for each variant."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drift.evaluation.numbers_in_words import UNDEFINED, points_text, share_text
from drift.study.places import at, compared_with, difference_at, headline_place, name_of
from drift.study.spent import spent

if TYPE_CHECKING:
    from rich.table import Table

WIDTH_OF_INTERVALS = 118


def study_summary(results: Mapping[str, Any], width: int = 80) -> "Table":
    """Seeds, multi@1, multi@K, correction rate, difference from the baseline, and seconds of every variant.

    Args:
        results: what `drift.study.results.study_results` returned.
        width: of the terminal, in characters; from 118 on, all numbers have their intervals, below that the difference.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    place, k = headline_place(results), results["max_turns"]
    before = next(iter(compared_with(results)), None)
    table = Table(
        title=Text(f"{place.label}, {place.size}", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("", overflow="fold", max_width=22)
    for name in ("seeds", "multi@1", f"multi@{k}", "corrected", f"from {before}", "seconds"):
        table.add_column(Text(name), justify="right", overflow="fold")
    seconds = {cost.policy: cost.total for cost in spent(results)}
    for policy, entry in results["policies"].items():
        metrics = at(entry, place)
        if metrics is None:
            continue
        multi, rate = metrics["multi_at_k"], metrics["correction_rate_overall"]
        shares = [
            (multi["value"][0], multi["ci95"][0]),
            (multi["value"][-1], multi["ci95"][-1]),
            (rate["value"], rate["ci95"]),
        ]
        texts = [share_text(share, ends if width >= WIDTH_OF_INTERVALS else []) for share, ends in shares]
        difference = difference_at(results, before, policy, place)
        gain = difference["multi_at_k"] if difference else None
        total = seconds.get(policy)
        table.add_row(
            Text(name_of(results, policy)),
            str(len(metrics["seeds"])),
            *map(Text, texts),
            Text(points_text(gain["value"][-1], gain["ci95"][-1]) if gain else ""),
            Text("" if policy not in seconds else UNDEFINED if total is None else f"{total['value']:,.0f}"),
        )
    return table
