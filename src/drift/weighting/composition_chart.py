"""The chart of the problems: how many were solved by all, some or none of their trajectories.

Only the mixed ones tell good trajectories from bad ones. plotly is imported when a chart is drawn, not before.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drift.chart_style import GREEN, GRID, SKY, VERMILION, house_layout

if TYPE_CHECKING:
    from plotly.graph_objects import Bar, Figure

OUTCOMES = {
    "all_right": ("all right", GREEN),
    "mixed": ("mixed", SKY),
    "all_wrong": ("all wrong", VERMILION),
}


def composition_chart(composition: Mapping[str, float]) -> "Figure":
    """One bar of all problems, divided by how many of their trajectories were right.

    Args:
        composition: `weighting_summary`, with `all_right`, `mixed` and `all_wrong` (problems).
    """
    from plotly.graph_objects import Figure

    num_problems = sum(composition[outcome] for outcome in OUTCOMES)
    figure = Figure([part(outcome, int(composition[outcome]), int(num_problems)) for outcome in OUTCOMES])
    figure.update_xaxes(
        title_text="problems (%)", title_font_size=13, title_standoff=8, range=[0, 100], gridcolor=GRID, zeroline=False
    )
    figure.update_yaxes(showticklabels=False)
    mixed = share(composition["mixed"], num_problems)
    figure.update_layout(
        **house_layout(f"Problems that tell right from wrong (mixed): {mixed:.0f} % of {num_problems:,}", height=260)
    )
    return figure.update_layout(
        barmode="stack",
        bargap=0.2,
        margin={"l": 20, "t": 80, "b": 90},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "traceorder": "normal"},
    )


def part(outcome: str, number: int, num_problems: int) -> "Bar":
    """One kind of problem: its share as the length, its number written inside."""
    from plotly.graph_objects import Bar

    name, colour = OUTCOMES[outcome]
    return Bar(
        x=[share(number, num_problems)],
        y=[""],
        orientation="h",
        name=name,
        text=[f"{number:,}" if number else ""],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        marker={"color": colour, "line": {"color": "white", "width": 1}},
        hovertemplate=f"{name}: {number:,} problems (%{{x:.1f}} %)<extra></extra>",
    )


def share(number: float, num_problems: float) -> float:
    """In per cent; 0 where there is no problem."""
    return 100 * number / num_problems if num_problems else 0.0
