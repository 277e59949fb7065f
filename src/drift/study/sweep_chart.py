"""The chart of a sweep (Figures 7, 8 and 9): results by value, beside what the weights are made of.

plotly is imported when a chart is drawn, not before.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drift.chart_style import BLUE, GREEN, GRID, MUTED, ORANGE, PURPLE, VERMILION, as_written, house_layout
from drift.evaluation.charts import error_bars, percent
from drift.study.places import PARAMETERS, Place, at, headline_place, missing_seeds, value_text
from drift.weighting.composition_chart import OUTCOMES

if TYPE_CHECKING:
    from plotly.graph_objects import Bar, Figure, Scatter

HEIGHT = 500
SHIFT = 0.08  # of the distance between two values
Share = tuple[float | None, Sequence[float | None]]
"""A share, or another number, and its interval."""


def sweep_chart(results: Mapping[str, Any], parameter: str) -> "Figure | None":
    """multi@1, multi@K and correction rate by the value of a parameter; effective sample size, pruned mass, groups.

    The baseline is a dashed line. None with fewer than two values.

    Args:
        results: what `drift.study.results.study_results` returned.
        parameter: one of its `sweeps`.
    """
    from plotly.subplots import make_subplots

    place = headline_place(results)
    points = [
        point
        for point in results["sweeps"].get(parameter, [])
        if at(results["policies"][point["policy"]], place) is not None
    ]
    if len(points) < 2:
        return None
    values = [f"{value_text(point['value'])}{missing_seeds(results, point['policy'])}" for point in points]
    entries = [results["policies"][point["policy"]] for point in points]
    metrics = [at(entry, place) or {} for entry in entries]
    figure = make_subplots(
        rows=1,
        cols=3,
        column_widths=[0.44, 0.28, 0.28],
        horizontal_spacing=0.07,
        subplot_titles=["results", "weights", "problems by their trajectories"],
    )
    k = results["max_turns"]
    for trace in result_lines(metrics, k):
        figure.add_trace(trace, row=1, col=1)
    if (baseline := baseline_share(results, place)) is not None:
        name = as_written(results["baseline"])
        figure.add_trace(level(f"multi@{k} of {name}", len(values), baseline), row=1, col=1)
    for trace in weight_lines([entry["composition"] for entry in entries]):
        figure.add_trace(trace, row=1, col=2)
    for trace in group_bars([entry["composition"] for entry in entries]):
        figure.add_trace(trace, row=1, col=3)
    name = PARAMETERS.get(parameter, parameter)
    figure.update_xaxes(title_text=name, title_font_size=13, title_standoff=8, showgrid=False, zeroline=False)
    figure.update_xaxes(tickvals=list(range(len(values))), ticktext=values, range=[-0.5, len(values) - 0.5])
    figure.update_xaxes(title_text=f"{name} (bars: 95 % over problems and seeds)", row=1, col=1)
    figure.update_yaxes(title_font_size=13, gridcolor=GRID, rangemode="tozero", zeroline=False)
    figure.update_yaxes(title_text="problems (%)", row=1, col=1)
    figure.update_yaxes(title_text="%", title_standoff=4, row=1, col=2)
    figure.update_yaxes(title_text="problems (%)", title_standoff=4, range=[0, 100], row=1, col=3)
    figure.update_annotations(font_size=13)
    figure.update_layout(**house_layout(title_of(name, values, metrics, place, k), HEIGHT))
    return figure.update_layout(
        barmode="stack",
        bargap=0.3,
        margin={"b": 150, "t": 100},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "traceorder": "normal"},
    )


def result_lines(metrics: Sequence[Mapping[str, Any]], k: int) -> "list[Scatter]":
    """multi@K, multi@1 and the correction rate over the values, side by side so that no bar hides another."""
    multi, rates = (
        [metric["multi_at_k"] for metric in metrics],
        [metric["correction_rate_overall"] for metric in metrics],
    )
    last = [(metric["value"][-1], metric["ci95"][-1]) for metric in multi]
    first = [(metric["value"][0], metric["ci95"][0]) for metric in multi]
    corrected = [(metric["value"], metric["ci95"]) for metric in rates]
    return [
        result_line(f"multi@{k}", last, -SHIFT, BLUE, "circle"),
        result_line("multi@1", first, 0, VERMILION, "square"),
        result_line("first mistakes corrected", corrected, SHIFT, GREEN, "diamond"),
    ]


def result_line(name: str, shares: Sequence[Share], shift: float, colour: str, symbol: str) -> "Scatter":
    """One share over the values."""
    line = number_line(name, shares, shift, colour, symbol, scale=100)
    return line.update(
        customdata=[percent(ends) for _, ends in shares],
        hovertemplate=name + ": %{y:.1f} % [%{customdata[0]:.1f}, %{customdata[1]:.1f}]<extra></extra>",
    )


def number_line(
    name: str, numbers: Sequence[Share], shift: float, colour: str, symbol: str, scale: float = 1
) -> "Scatter":
    """One number with its interval over the values, drawn times `scale`."""
    from plotly.graph_objects import Scatter

    value, ends = [value for value, _ in numbers], [ends for _, ends in numbers]
    return Scatter(
        x=[place + shift for place in range(len(numbers))],
        y=[None if of_value is None else scale * of_value for of_value in value],
        error_y=error_bars(value, ends, scale),
        hovertemplate=name + ": %{y:.2f}<extra></extra>",
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"symbol": symbol, "size": 8},
        cliponaxis=False,
    )


def level(name: str, num_values: int, share: float) -> "Scatter":
    """A dashed line at one height."""
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[-0.5, num_values - 0.5],
        y=[100 * share] * 2,
        name=name,
        mode="lines",
        line={"color": MUTED, "width": 1.5, "dash": "dash"},
        hovertemplate=f"{name}: %{{y:.1f}} %<extra></extra>",
    )


def baseline_share(results: Mapping[str, Any], place: Place) -> float | None:
    """multi@K of the baseline, where there is one."""
    entry = None if results["baseline"] is None else at(results["policies"][results["baseline"]], place)
    return None if entry is None else entry["multi_at_k"]["value"][-1]


def weight_lines(compositions: Sequence[Mapping[str, Any]]) -> "list[Scatter]":
    """Effective sample size in per cent of the examples, and pruned mass in per cent of the weight."""
    from plotly.graph_objects import Scatter

    effective = [
        ratio(mean(composition, "effective_sample_size"), mean(composition, "num_examples"))
        for composition in compositions
    ]
    pruned = [mean(composition, "pruned_mass") for composition in compositions]
    examples = [mean(composition, "effective_sample_size") for composition in compositions]
    named = (
        ("effective sample size (% of examples)", effective, PURPLE, "triangle-up"),
        ("pruned mass (% of weight)", pruned, ORANGE, "triangle-down"),
    )
    return [
        Scatter(
            x=list(range(len(compositions))),
            y=percent(shares),
            customdata=examples,
            hovertemplate=f"{name}: %{{y:.2g}}<br>effective examples: %{{customdata:,.0f}}<extra></extra>",
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"symbol": symbol, "size": 9},
            cliponaxis=False,
        )
        for name, shares, colour, symbol in named
    ]


def group_bars(compositions: Sequence[Mapping[str, Any]]) -> "list[Bar]":
    """Problems that all, some and none of their trajectories solved."""
    from plotly.graph_objects import Bar

    return [
        Bar(
            x=list(range(len(compositions))),
            y=percent(
                [ratio(mean(composition, outcome), mean(composition, "num_problems")) for composition in compositions]
            ),
            name=name,
            marker={"color": colour, "line": {"color": "white", "width": 1}},
            hovertemplate=f"{name}: %{{y:.1f}} %<extra></extra>",
        )
        for outcome, (name, colour) in OUTCOMES.items()
    ]


def mean(composition: Mapping[str, Any], name: str) -> float | None:
    """The mean over seeds of one count; None where it is not known."""
    return None if composition[name] is None else composition[name]["value"]


def ratio(part: float | None, whole: float | None) -> float | None:
    """part / whole; None where it is not defined."""
    return None if part is None or not whole else part / whole


def title_of(name: str, values: Sequence[str], metrics: Sequence[Mapping[str, Any]], place: Place, k: int) -> str:
    """The finding: between what multi@K lies, and where it is highest."""
    shares = {value: metric["multi_at_k"]["value"][-1] for value, metric in zip(values, metrics, strict=True)}
    lowest, highest = min(shares.values()), max(shares.values())
    best = [value for value, share in shares.items() if share == highest]
    where = f", highest at {name} = {best[0]}" if len(best) == 1 else ""
    return f"{name}: multi@{k} on {as_written(place.label)} is {100 * lowest:.0f} to {100 * highest:.0f} %{where}"
