"""The chart of the weighted data: how returns and weights are spread.

plotly is imported when a chart is drawn, not before.

Shapes: _E the training examples of one shard.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drift.chart_style import BLUE, GRID, ORANGE, house_layout
from drift.shards import Shards
from drift.weighting.histogram import Histogram, histogram

if TYPE_CHECKING:
    from plotly.graph_objects import Bar, Figure

SMALLEST_DRAWN_WEIGHT = 1e-6
NUM_BINS = 30


def log_weight(weight_E: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10 of the weights; those below `SMALLEST_DRAWN_WEIGHT` are drawn there."""
    return np.log10(np.maximum(weight_E, SMALLEST_DRAWN_WEIGHT))


def returns_and_weights_chart(returns: Histogram, log_weights: Histogram, effective_sample_size: float) -> "Figure":
    """Two panels: histogram of the returns, histogram of the weights.

    Args:
        returns: of the shaped returns.
        log_weights: of the `log_weight` of the examples.
        effective_sample_size: of the weights.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=2, subplot_titles=["returns", "weights"], horizontal_spacing=0.1)
    figure.add_trace(bars(returns, BLUE, "return %{x:.2f}: %{y} trajectories"), row=1, col=1)
    figure.add_trace(bars(log_weights, ORANGE, "weight 10^%{x:.1f}: %{y} examples"), row=1, col=2)
    figure.update_xaxes(title_text="return R", row=1, col=1)
    lowest = round(np.log10(SMALLEST_DRAWN_WEIGHT))
    decades = list(range(lowest, 3, 2))
    labels = [f"≤ 10<sup>{lowest}</sup>", *(f"10<sup>{decade}</sup>" if decade else "1" for decade in decades[1:])]
    figure.update_xaxes(title_text="weight w", tickvals=decades, ticktext=labels, row=1, col=2)
    for column, name in enumerate(["trajectories", "examples"], start=1):
        figure.update_yaxes(title_text=name, title_standoff=4, gridcolor=GRID, row=1, col=column)
    return figure.update_layout(
        **house_layout(title(int(log_weights.count_X.sum()), effective_sample_size), height=420),
        bargap=0.03,
        showlegend=False,
    )


def chart_of_weights(shaped_returns: Shards, weighted_turns: Shards, effective_sample_size: float) -> "Figure":
    """The chart of a whole data set, read shard by shard."""
    return returns_and_weights_chart(
        histogram(lambda: shaped_returns.values("shaped_return"), NUM_BINS),
        histogram(lambda: map(log_weight, weighted_turns.values("weight")), NUM_BINS),
        effective_sample_size,
    )


def title(num_examples: int, effective_sample_size: float) -> str:
    """The finding: how many of the examples the weights leave."""
    return f"{num_examples:,} examples weigh as much as {effective_sample_size:,.0f} equal ones"


def bars(histogram: Histogram, colour: str, hover: str) -> "Bar":
    """A histogram as bars."""
    from plotly.graph_objects import Bar

    return Bar(
        x=(histogram.edge_X[:-1] + histogram.edge_X[1:]) / 2,
        y=histogram.count_X,
        width=np.diff(histogram.edge_X),
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate=hover + "<extra></extra>",
    )
