"""The chart of what policies do when they are told that they are wrong: try something else, or say it again.

plotly is imported when a chart is drawn, not before.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from drift.chart_style import GRID, as_written, house_layout
from drift.evaluation.charts import POLICY_COLOURS, POLICY_MARKERS, change, mean_rates, panel_title, rates_of
from drift.evaluation.overview import all_policies

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

PIXELS_PER_BENCHMARK, PIXELS_PER_POLICY, OTHER_PIXELS = 26, 20, 200
REPEATED = "repeated_answer_rate"
ROOM_BETWEEN_POLICIES = 0.24  # of the distance between two benchmarks


class Measure(NamedTuple):
    """One panel.

    Attributes:
        metric: key in the scores.
        title: above the panel.
        axis: below it, with the unit.
        scale: from the scores to the unit.
        hover: how a value is written.
    """

    metric: str
    title: str
    axis: str
    scale: float
    hover: str


MEASURES = (
    Measure(REPEATED, "retries that repeat an answer", "of all retries (%)", 100, ".1f"),
    Measure("format_loss_rate", "answers lost at the next turn", "of turns after an answer (%)", 100, ".1f"),
    Measure("distinct_answers_failed", "distinct answers where all failed", "answers a problem", 1, ".2f"),
)


def answers_chart(scores: Mapping[str, Any]) -> "Figure":
    """Repeated answers, answers no longer readable, and distinct answers of failed problems, with 95 % intervals.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    from plotly.subplots import make_subplots

    benchmarks, policies = scores["benchmarks"], all_policies(scores)
    figure = make_subplots(
        rows=1,
        cols=len(MEASURES),
        shared_yaxes=True,
        subplot_titles=[measure.title for measure in MEASURES],
        horizontal_spacing=0.04,
    )
    for number, measure in enumerate(MEASURES, start=1):
        for index, policy in enumerate(policies):
            figure.add_trace(points(scores, measure, policy, index, len(policies), number == 1), row=1, col=number)
        figure.update_xaxes(
            title_text=measure.axis,
            title_font_size=13,
            title_standoff=8,
            rangemode="tozero",
            gridcolor=GRID,
            row=1,
            col=number,
        )
    names = [panel_title(name) for name in benchmarks]
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=names if len(names) > 1 else [""],
        range=[len(names) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_annotations(font_size=13)
    height = OTHER_PIXELS + len(names) * (PIXELS_PER_BENCHMARK + PIXELS_PER_POLICY * len(policies))
    figure.update_layout(**house_layout(title(scores), height))
    return figure.update_layout(
        title={"xref": "container", "pad": {"l": 20}},
        margin={"b": 100, "l": 20},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "traceorder": "normal"},
    ).update_yaxes(automargin=True)


def points(
    scores: Mapping[str, Any], measure: Measure, policy: str, index: int, num_policies: int, is_named: bool
) -> "Scatter":
    """One policy's values on all benchmarks that have them, its intervals as bars."""
    from plotly.graph_objects import Scatter

    shift = ROOM_BETWEEN_POLICIES * (index - (num_policies - 1) / 2)
    rows = [
        (row + shift, entry[policy][measure.metric], *entry[policy][f"{measure.metric}_ci95"])
        for row, entry in enumerate(scores["benchmarks"].values())
        if policy in entry and entry[policy][measure.metric] is not None
    ]
    colour = POLICY_COLOURS[index % len(POLICY_COLOURS)]
    value = measure.hover
    return Scatter(
        x=[measure.scale * share for _, share, _, _ in rows],
        y=[place for place, *_ in rows],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [measure.scale * (high - share) for _, share, _, high in rows],
            "arrayminus": [measure.scale * (share - low) for _, share, low, _ in rows],
            "thickness": 1.5,
            "width": 4,
        },
        customdata=[[measure.scale * low, measure.scale * high] for *_, low, high in rows],
        hovertemplate=f"{as_written(policy)}: %{{x:{value}}} [%{{customdata[0]:{value}}}, %{{customdata[1]:{value}}}]"
        "<extra></extra>",
        name=as_written(policy),
        legendgroup=as_written(policy),
        showlegend=is_named,
        mode="markers",
        marker={"symbol": POLICY_MARKERS[index % len(POLICY_MARKERS)], "size": 9, "color": colour},
    )


def title(scores: Mapping[str, Any]) -> str:
    """The finding, such as `Retries that repeat an answer on arithmetic: 71 % → 32 % (-39 points)`."""
    (name, entry), *others = scores["benchmarks"].items()
    if not others:
        return f"Retries that repeat an answer on {as_written(name)}: {change(rates_of(entry, REPEATED))}"
    rates, num_benchmarks = mean_rates(scores, REPEATED)
    return f"Retries that repeat an answer, mean of {num_benchmarks} benchmarks: {change(rates)}"
