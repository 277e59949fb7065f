"""The learning curve: losses, gradient norm, and what each step was made of, over the optimiser's steps.

plotly is imported when a chart is drawn, not before.
"""

from typing import TYPE_CHECKING

from drift.chart_style import BLUE, GREEN, GRID, INK, ORANGE, SKY, VERMILION, house_layout

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure, Scatter

SHARE_OF_TITLE = 0.25
SHARE_OF_RUNNING_MEAN = 0.15
# Rows from top to bottom: what the axis says, and its lines (column of the log, name, colour).
PANELS = (
    (
        "nats per token",
        (("loss", "loss, unweighted", SKY), ("weighted_mean_loss", "loss, weighted mean", VERMILION)),
    ),
    ("gradient norm", (("gradient_norm", "gradient norm", BLUE),)),
    (
        "examples",
        (
            ("num_computed", "examples computed", GREEN),
            ("effective_sample_size", "effective sample size", ORANGE),
        ),
    ),
    ("tokens/s", (("tokens_per_second", "tokens per second", INK),)),
)
HEIGHTS = (0.46, 0.18, 0.18, 0.18)


def learning_curve_chart(training_log: "pd.DataFrame") -> "Figure":
    """Losses, gradient norm, examples and speed over the same steps; each step thin, running means bold.

    Args:
        training_log: one row a step (`StepLog`); `held_out_loss` is null where it was not measured.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=len(PANELS), cols=1, shared_xaxes=True, row_heights=list(HEIGHTS), vertical_spacing=0.045
    )
    for row, (axis, columns) in enumerate(PANELS, start=1):
        for column, name, colour in columns:
            for trace in lines(training_log, column, name, colour):
                alone = len(columns) == 1  # the axis says what it is
                figure.add_trace(trace.update(showlegend=trace.showlegend is None and not alone), row=row, col=1)
        figure.update_yaxes(title_text=axis, rangemode="tozero", gridcolor=GRID, row=row, col=1)
    if training_log["held_out_loss"].notna().any():
        figure.add_trace(held_out_line(training_log), row=1, col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(title_text="optimiser step", row=len(PANELS), col=1)
    return figure.update_layout(
        **house_layout(title(training_log), height=760) | {"margin": {"t": 60, "b": 110, "l": 70, "r": 20}},
        legend={"orientation": "h", "x": 0, "y": -0.1, "yanchor": "top"},
        hovermode="x unified",
    )


def title(training_log: "pd.DataFrame") -> str:
    """The finding: how the held-out loss fell, or the weighted mean loss where nothing was held out."""
    held_out = training_log["held_out_loss"].dropna()
    if len(held_out) > 1:
        first, last = held_out.iloc[0], held_out.iloc[-1]
        return f"Loss on held-out problems over {len(training_log)} steps: {first:.2f} → {last:.2f}"
    first, last = first_and_last(training_log, "weighted_mean_loss")
    return f"Weighted mean loss over {len(training_log)} steps: {first:.2f} → {last:.2f} nats per token"


def first_and_last(training_log: "pd.DataFrame", column: str) -> tuple[float, float]:
    """Means of a column over the first and over the last quarter of the steps."""
    window = max(1, round(len(training_log) * SHARE_OF_TITLE))
    values = training_log[column]
    return float(values.iloc[:window].mean()), float(values.iloc[-window:].mean())


def lines(training_log: "pd.DataFrame", column: str, name: str, colour: str) -> "list[Scatter]":
    """One column of the log: each step thin, and a running mean over it that shows where it goes."""
    from plotly.graph_objects import Scatter

    window = max(1, round(len(training_log) * SHARE_OF_RUNNING_MEAN))
    values = training_log[column].astype(float)
    mean = values.rolling(window, center=True, min_periods=1).mean()
    thin = {"color": colour, "width": 1}
    shared = {"x": training_log["step"], "mode": "lines" if len(training_log) > 1 else "markers", "legendgroup": column}
    return [
        Scatter(**shared, y=values, line=thin, opacity=0.45, showlegend=False, hoverinfo="skip"),
        Scatter(**shared, y=mean, name=name, line={"color": colour, "width": 2.5}, hovertemplate="%{y:,.4~g}"),
    ]


def held_out_line(training_log: "pd.DataFrame") -> "Scatter":
    """The held-out loss at the steps it was measured after."""
    from plotly.graph_objects import Scatter

    measured = training_log[training_log["held_out_loss"].notna()]
    return Scatter(
        x=measured["step"],
        y=measured["held_out_loss"],
        mode="lines+markers",
        name="loss on held-out problems",
        line={"color": INK, "width": 2, "dash": "dot"},
        hovertemplate="%{y:,.4~g}",
    )
