"""The chart of the penalty (Tables 6 and 7): what it does to accuracy, to correction, and to distinct answers.

plotly is imported when a chart is drawn, not before.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drift.chart_style import GRID, ORANGE, PURPLE, as_written, house_layout
from drift.study.places import at, headline_place, missing_seeds, value_text
from drift.study.sweep_chart import SHIFT, number_line, result_lines
from drift.study.sweeps import alike_but

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

HEIGHT = 460


def penalty_chart(results: Mapping[str, Any]) -> "Figure | None":
    """multi@1, multi@K, correction rate and distinct answers by the penalty; None with fewer than two values.

    Args:
        results: what `drift.study.results.study_results` returned.
    """
    from plotly.subplots import make_subplots

    place, k = headline_place(results), results["max_turns"]
    entries = [
        (f"{value_text(value)}{missing_seeds(results, policy)}", at(results["policies"][policy], place))
        for value, policy in alike_but("penalty", results["policies"])
    ]
    values = [value for value, entry in entries if entry is not None]
    metrics = [entry for _, entry in entries if entry is not None]
    if len(values) < 2:
        return None
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.09, subplot_titles=["results", "answers of a problem"])
    for trace in result_lines(metrics, k):
        figure.add_trace(trace, row=1, col=1)
    for trace in answer_lines(metrics):
        figure.add_trace(trace, row=1, col=2)
    figure.update_xaxes(
        title_text="penalty (bars: 95 % over problems and seeds)",
        title_font_size=13,
        title_standoff=8,
        showgrid=False,
        zeroline=False,
        tickvals=list(range(len(values))),
        ticktext=values,
        range=[-0.5, len(values) - 0.5],
    )
    figure.update_yaxes(title_font_size=13, gridcolor=GRID, rangemode="tozero", zeroline=False)
    figure.update_yaxes(title_text="problems (%)", row=1, col=1)
    figure.update_yaxes(title_text="distinct answers", row=1, col=2)
    figure.update_annotations(font_size=13)
    figure.update_layout(**house_layout(title_of(values, metrics, as_written(place.label)), HEIGHT))
    return figure.update_layout(
        margin={"b": 115, "t": 100},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "traceorder": "normal"},
    )


def answer_lines(metrics: Sequence[Mapping[str, Any]]) -> "list[Scatter]":
    """Distinct answers of all conversations, and of those that failed, over the values."""
    everywhere, failed = (
        [(metric[key]["value"], metric[key]["ci95"]) for metric in metrics]
        for key in ("distinct_answers", "distinct_answers_failed")
    )
    return [
        number_line("distinct answers", everywhere, -SHIFT / 2, PURPLE, "triangle-up"),
        number_line("distinct answers, failed", failed, SHIFT / 2, ORANGE, "triangle-down"),
    ]


def title_of(values: Sequence[str], metrics: Sequence[Mapping[str, Any]], where: str) -> str:
    """The finding: distinct answers with the smallest and with the largest penalty."""
    first, last = (metrics[index]["distinct_answers"]["value"] for index in (0, -1))
    return f"Penalty {values[0]} → {values[-1]} on {where}: {first:.2f} → {last:.2f} distinct answers a problem"
