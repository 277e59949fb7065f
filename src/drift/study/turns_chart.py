"""Charts turn by turn: terminal against all turns (Figure 3), accuracy and correction rate (Figure 5).

plotly is imported when a chart is drawn, not before.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drift.chart_style import GRID, as_written, house_layout
from drift.evaluation.charts import ERROR_BAR_SHIFT, POLICY_MARKERS, error_bars, policy_line
from drift.evaluation.numbers_in_words import share_text
from drift.evaluation.outcomes import REFERENCE
from drift.study.places import Place, headline_place, label_of, policies_at
from drift.study.sweeps import alike_but
from drift.study.variants_chart import colour_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

HEIGHT = 460


def terminal_chart(results: Mapping[str, Any]) -> "Figure | None":
    """Figure 3: multi@k of training on the terminal turn and on all turns; None without the two."""
    place = headline_place(results)
    kept = [policy for _, policy in reversed(alike_but("retain", results["policies"]))]
    shown = [policy for policy in [*kept, REFERENCE] if policy in policies_at(results, place)]
    if len(kept) < 2 or not set(kept) <= set(shown):
        return None
    last = {policy: policies_at(results, place)[policy]["multi_at_k"] for policy in kept}
    texts = [
        f"{as_written(policy)} {share_text(metric['value'][-1], metric['ci95'][-1])}" for policy, metric in last.items()
    ]
    where = f"multi@{results['max_turns']} on {as_written(place.label)}"
    title = f"Terminal turn against all turns, {where}: {', '.join(texts)}"
    return by_turn(results, place, shown, {"multi_at_k": ("problems solved within k turns (%)", 1)}, title)


def turns_chart(results: Mapping[str, Any]) -> "Figure | None":
    """Figure 5: accuracy and correction rate by turn of every policy of no sweep; None where there is one turn."""
    if results["max_turns"] < 2:
        return None
    place = headline_place(results)
    entries = policies_at(results, place)
    rates = {
        policy: entry["correction_rate_overall"]["value"]
        for policy, entry in entries.items()
        if entry["correction_rate_overall"]["value"] is not None
    }
    highest = max(rates.values(), default=0.0)
    best = [policy for policy, rate in rates.items() if rate == highest > 0]
    title = f"Accuracy and correction by turn on {as_written(place.label)}"
    if len(best) == 1:
        title += f": {as_written(best[0])} corrects most first mistakes, {100 * highest:.0f} %"
    panels = {
        "multi_at_k": ("problems solved within k turns (%)", 1),
        "correction_rate": ("of the problems still wrong, corrected (%)", 2),
    }
    return by_turn(results, place, list(entries), panels, title)


def by_turn(
    results: Mapping[str, Any],
    place: Place,
    policies: Sequence[str],
    panels: Mapping[str, tuple[str, int]],
    title: str,
) -> "Figure":
    """One panel for each metric (its axis and its first turn), one line for each policy, intervals as bars."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=len(panels), horizontal_spacing=0.08)
    entries, colours = policies_at(results, place), list(policies_at(results, place))
    for column, (metric, (axis, first)) in enumerate(panels.items(), start=1):
        for index, policy in enumerate(policies):
            shift = ERROR_BAR_SHIFT * (index - (len(policies) - 1) / 2)
            drawn = line(results, colours.index(policy), policy, entries[policy][metric], first, shift)
            figure.add_trace(drawn.update(showlegend=column == 1), row=1, col=column)
        figure.update_yaxes(title_text=axis, row=1, col=column)
    figure.update_xaxes(
        title_text="turn, k (bars: 95 % over problems and seeds)", dtick=1, showgrid=False, zeroline=False
    )
    figure.update_xaxes(title_font_size=13, title_standoff=8, ticks="outside", tickcolor=GRID)
    figure.update_yaxes(title_font_size=13, gridcolor=GRID, zerolinecolor=GRID, rangemode="tozero")
    figure.update_layout(**house_layout(title, HEIGHT))
    return figure.update_layout(
        title={"font": {"size": 16}},
        margin={"b": 95, "t": 70},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "traceorder": "normal"},
    )


def line(
    results: Mapping[str, Any], index: int, policy: str, metric: Mapping[str, Any], first: int, shift: float
) -> "Scatter":
    """One policy's shares from turn `first` on."""
    share_K, ends_K = metric["value"][first - 1 :], metric["ci95"][first - 1 :]
    turns = [turn + shift for turn in range(first, first + len(share_K))]
    drawn = policy_line(index, label_of(results, policy), share_K, ends_K, turns)
    return drawn.update(
        error_y=error_bars(share_K, ends_K),
        line={"color": colour_of(index, policy), "width": 2},
        marker={"symbol": POLICY_MARKERS[index % len(POLICY_MARKERS)]},
    )
