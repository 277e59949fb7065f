"""The chart of costs (Figure 6): seconds of sampling, training and both by the number of turns trained on.

plotly is imported when a chart is drawn, not before.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drift.chart_style import BLUE, GREEN, GRID, INK, VERMILION, house_layout
from drift.study.spent import Seconds, Spent, spent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

SERIES = {
    "sampling": ("sampling (reckoned below the whole budget)", BLUE, "circle"),
    "training": ("training", VERMILION, "square"),
    "total": ("sampling + training", GREEN, "diamond"),
}
MINUTE = 60
LONG_SECONDS = 600  # from here on, minutes are easier to read


def costs_chart(results: Mapping[str, Any]) -> "Figure | None":
    """Seconds by number of turns, with intervals over seeds; None without a sweep of turns whose times were counted.

    All variants share one rollout of the whole budget. Sampling fewer turns is reckoned: the engine's start, and the
    rest by the share of its response tokens within them.
    """
    from plotly.graph_objects import Figure

    policies = {point["policy"] for point in results["sweeps"].get("max_turns", [])}
    costs = sorted((cost for cost in spent(results) if cost.policy in policies), key=lambda cost: cost.num_turns)
    if len(costs) < 2 or any(cost.total is None for cost in costs):
        return None
    longest = max(value_of(cost.total) for cost in costs)
    scale, unit = (MINUTE, "minutes") if longest > LONG_SECONDS else (1, "seconds")
    figure = Figure([line(name, costs, scale, unit) for name in SERIES])
    figure.update_xaxes(
        title_text="turns of the rollout trained on (bars: 95 % over seeds)",
        title_font_size=13,
        title_standoff=8,
        dtick=1,
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(title_text=f"{unit} a variant and seed", title_font_size=13, gridcolor=GRID, rangemode="tozero")
    first, last = costs[0], costs[-1]
    title = (
        f"Sampling and training: {value_of(first.total) / scale:,.0f} {unit} with {turns_text(first.num_turns)}, "
        f"{value_of(last.total) / scale:,.0f} with {last.num_turns}"
    )
    figure.update_layout(**house_layout(title, 460))
    figure.update_layout(
        margin={"b": 115, "t": 70},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "traceorder": "normal"},
    )
    return figure.add_annotation(
        text="Sampling of fewer turns is reckoned: start of the engine + the rest × their share of the tokens.",
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        yshift=-72,
        xanchor="left",
        showarrow=False,
        font={"size": 12, "color": INK},
    )


def line(name: str, costs: Sequence[Spent], scale: float, unit: str) -> "Scatter":
    """One kind of seconds over turns."""
    from plotly.graph_objects import Scatter

    label, colour, symbol = SERIES[name]
    points: list[Seconds] = [getattr(cost, name) for cost in costs]
    ends = [ends_of(point) for point in points]
    values = [value_of(point) for point in points]
    return Scatter(
        x=[cost.num_turns for cost in costs],
        y=[value / scale for value in values],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [(high - value) / scale for value, (_, high) in zip(values, ends, strict=True)],
            "arrayminus": [(value - low) / scale for value, (low, _) in zip(values, ends, strict=True)],
            "thickness": 1.5,
            "width": 4,
        },
        hovertemplate=f"{label}: %{{y:,.1f}} {unit}<extra></extra>",
        name=label,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"symbol": symbol, "size": 8},
    )


def value_of(seconds: Seconds) -> float:
    """The mean of counted seconds."""
    if seconds is None:
        raise ValueError("A chart of costs needs seconds that were counted.")
    return float(seconds["value"])


def ends_of(seconds: Seconds) -> tuple[float, float]:
    """The interval of counted seconds; the mean itself with one seed, which has none."""
    ends = None if seconds is None else seconds["ci95"]
    return (value_of(seconds), value_of(seconds)) if ends is None else (ends[0], ends[1])


def turns_text(num_turns: int) -> str:
    """`1 turn`, `2 turns`."""
    return f"{num_turns} turn{'s' if num_turns > 1 else ''}"
