"""The learning curve: loss and gradient norm over the optimiser's steps.

plotly is imported when a chart is drawn, not before.
"""

from typing import TYPE_CHECKING

from drift.chart_style import BLUE, GRID, SKY, VERMILION, house_layout

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure, Scatter

SHARE_OF_TITLE = 0.25
SHARE_OF_RUNNING_MEAN = 0.15


def learning_curve_chart(training_log: "pd.DataFrame") -> "Figure":
    """Loss and weighted loss above, gradient norm below, over the same steps; running means are bold.

    Args:
        training_log: one row a step, with `step`, `loss` (nats per token), `weighted_loss` and `gradient_norm`.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.65, 0.35], vertical_spacing=0.06)
    for trace in lines(training_log, "loss", "loss, unweighted", SKY):
        figure.add_trace(trace, row=1, col=1)
    for trace in lines(training_log, "weighted_loss", "weighted loss (Eq. 14)", VERMILION):
        figure.add_trace(trace, row=1, col=1)
    for trace in lines(training_log, "gradient_norm", "gradient norm", BLUE):
        figure.add_trace(trace, row=2, col=1)
    figure.update_yaxes(title_text="nats per token", rangemode="tozero", gridcolor=GRID, row=1, col=1)
    figure.update_yaxes(title_text="gradient norm", rangemode="tozero", gridcolor=GRID, row=2, col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(title_text="optimiser step", row=2, col=1)
    return figure.update_layout(
        **house_layout(title(training_log), height=520),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hovermode="x unified",
    )


def title(training_log: "pd.DataFrame") -> str:
    """The finding: weighted loss at the beginning and at the end, each the mean of a quarter of the steps."""
    window = max(1, round(len(training_log) * SHARE_OF_TITLE))
    losses = training_log["weighted_loss"]
    first, last = losses.iloc[:window].mean(), losses.iloc[-window:].mean()
    return f"Weighted loss over {len(training_log)} steps: {first:.2f} → {last:.2f}"


def lines(training_log: "pd.DataFrame", column: str, name: str, colour: str) -> "list[Scatter]":
    """One column of the log: each step thin, and a running mean over it that shows where it goes."""
    from plotly.graph_objects import Scatter

    window = max(1, round(len(training_log) * SHARE_OF_RUNNING_MEAN))
    mean = training_log[column].rolling(window, center=True, min_periods=1).mean()
    thin = {"color": colour, "width": 1}
    shared = {"x": training_log["step"], "mode": "lines" if len(training_log) > 1 else "markers", "legendgroup": column}
    return [
        Scatter(**shared, y=training_log[column], line=thin, opacity=0.45, showlegend=False, hoverinfo="skip"),
        Scatter(**shared, y=mean, name=name, line={"color": colour, "width": 2.5}, hovertemplate="%{y:.3f}"),
    ]
