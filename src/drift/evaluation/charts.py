"""The charts of the scores: multi@k beside what guessing would reach, and the correction rate turn by turn.

Colours are Okabe and Ito's, told apart by colour-blind readers; markers differ as well. plotly is imported when a
chart is drawn, not before.

Shapes: _K turns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from drift.chart_style import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PURPLE, SKY, VERMILION, as_written
from drift.evaluation.outcomes import REFERENCE, TRAINED, policy_names
from drift.evaluation.overview import budget

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

POLICY_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)
POLICY_MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
"""One fewer than the colours, so that the seventh policy has the first one's colour and another marker."""
GUESSERS = {"with_repetition": ("guessing", "dot"), "without_repetition": ("guessing, no repeats", "dash")}
MAX_COLUMNS = 3
MAX_TITLE = 36  # characters above a panel
PANEL_PIXELS, TOP_PIXELS, BOTTOM_PIXELS = 260, 90, 100
ERROR_BAR_SHIFT = 0.08  # in turns, between policies, so that their error bars do not hide each other


class Panel(NamedTuple):
    """One benchmark's place in a chart.

    Attributes:
        name: of the benchmark.
        entry: its scores.
        row: 1 is at the top.
        column: 1 is at the left.
    """

    name: str
    entry: Mapping[str, Any]
    row: int
    column: int


def multi_at_k_chart(scores: Mapping[str, Any]) -> "Figure":
    """multi@k of every policy with its 95 % band, one panel per benchmark, beside guessing and independent attempts.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    figure = panels_figure(scores, multi_at_k_title(scores))
    for panel in panels(scores):
        for guesser, share_K in (panel.entry["chance"] or {}).items():
            add(figure, panel, chance_line(guesser, share_K))
        for index, policy in enumerate(policy_names(panel.entry)):
            add(figure, panel, band(index, policy, panel.entry[policy]["ci95"]))
        for index, policy in enumerate(policy_names(panel.entry)):
            share_K, ends_K = panel.entry[policy]["multi_at_k"], panel.entry[policy]["ci95"]
            add(figure, panel, policy_line(index, policy, share_K, ends_K, turns_of(share_K)))
        for index, policy in enumerate(policy_names(panel.entry)):
            if control := panel.entry[policy]["control"]:
                add(figure, panel, control_line(index, policy, control, budget(scores)))
    has_control = any(
        entry[policy]["control"] for entry in scores["benchmarks"].values() for policy in policy_names(entry)
    )
    allowed = "turns or attempts" if has_control else "turns"
    figure.update_yaxes(range=[0, 102])
    return label_axes(figure, scores, f"{allowed}, k (bands: 95 %)", "problems solved (%)")


def correction_rate_chart(scores: Mapping[str, Any]) -> "Figure":
    """Of the problems still wrong, the share put right at each turn from 2 on, with 95 % intervals.

    Args:
        scores: what `drift.evaluation.score.score` returned.
    """
    figure = panels_figure(scores, correction_rate_title(scores))
    for panel in panels(scores):
        policies = policy_names(panel.entry)
        for index, policy in enumerate(policies):
            rate_K, ends_K = panel.entry[policy]["correction_rate"], panel.entry[policy]["correction_rate_ci95"]
            shift = ERROR_BAR_SHIFT * (index - (len(policies) - 1) / 2)
            line = policy_line(index, policy, rate_K[1:], ends_K[1:], [turn + shift for turn in turns_of(rate_K)[1:]])
            add(figure, panel, line.update(error_y=error_bars(rate_K[1:], ends_K[1:])))
    figure.update_yaxes(rangemode="tozero")
    return label_axes(figure, scores, "turn (bars: 95 % intervals)", "mistakes corrected (%)")


def multi_at_k_title(scores: Mapping[str, Any]) -> str:
    """The finding, such as `multi@5 on arithmetic: 46 % → 78 % (+32 points)`."""
    (name, entry), *others = scores["benchmarks"].items()
    quantity = f"multi@{len(entry[policy_names(entry)[0]]['multi_at_k'])}"
    if others:
        return f"Mean {quantity} of {len(others) + 1} benchmarks: {change(scores['averages']['all'])}"
    last = {policy: entry[policy]["multi_at_k"][-1] for policy in policy_names(entry)}
    return f"{quantity} on {as_written(name)}: {change(last)}"


def correction_rate_title(scores: Mapping[str, Any]) -> str:
    """The finding, such as `First mistakes corrected on arithmetic: 9 % → 59 % (+50 points)`."""
    (name, entry), *others = scores["benchmarks"].items()
    if others:
        rates, num_benchmarks = mean_rates(scores, "correction_rate_overall")
        return f"First mistakes corrected, mean of {num_benchmarks} benchmarks: {change(rates)}"
    return f"First mistakes corrected on {as_written(name)}: {change(rates_of(entry, 'correction_rate_overall'))}"


def rates_of(entry: Mapping[str, Any], metric: str) -> dict[str, float | None]:
    """One metric of each policy on one benchmark; None where it is not defined."""
    return {policy: entry[policy][metric] for policy in policy_names(entry)}


def mean_rates(scores: Mapping[str, Any], metric: str) -> tuple[dict[str, float | None], int]:
    """Each policy's mean over the benchmarks on which the metric is defined for all, and how many those are."""
    rates = [rates_of(entry, metric) for entry in scores["benchmarks"].values()]
    defined = [of_benchmark for of_benchmark in rates if None not in of_benchmark.values()]
    if not defined:
        return dict.fromkeys(rates[0]), 0
    means = np.array([list(of_benchmark.values()) for of_benchmark in defined], dtype=np.float64).mean(axis=0)
    return dict(zip(rates[0], means.tolist(), strict=True)), len(defined)


def change(share_by_policy: Mapping[str, float | None]) -> str:
    """From the reference to the trained policy where both are there, else each policy's share."""
    texts = {name: "none made" if share is None else f"{100 * share:.0f} %" for name, share in share_by_policy.items()}
    before, after = share_by_policy.get(REFERENCE), share_by_policy.get(TRAINED)
    if REFERENCE not in texts or TRAINED not in texts:
        return ", ".join(f"{as_written(name)} {text}" for name, text in texts.items())
    points = "" if before is None or after is None else f" ({100 * (after - before):+z.0f} points)"
    return f"{texts[REFERENCE]} → {texts[TRAINED]}{points}"


def panel_title(name: str) -> str:
    """A benchmark's name, cut in the middle where its panel is too narrow for it."""
    half = MAX_TITLE // 2
    return as_written(name if len(name) <= MAX_TITLE else f"{name[:half]}…{name[-half:]}")


def panels(scores: Mapping[str, Any]) -> Iterator[Panel]:
    """The benchmarks from left to right and top to bottom."""
    for index, (name, entry) in enumerate(scores["benchmarks"].items()):
        row, column = divmod(index, num_columns(scores))
        yield Panel(name, entry, row + 1, column + 1)


def num_columns(scores: Mapping[str, Any]) -> int:
    """Panels side by side: two for up to four benchmarks, three for more."""
    num_benchmarks = len(scores["benchmarks"])
    return min(num_benchmarks, 2 if num_benchmarks <= 4 else MAX_COLUMNS)


def panels_figure(scores: Mapping[str, Any], title: str) -> "Figure":
    """An empty chart with one panel per benchmark, its title above and room for the legend below."""
    from plotly.subplots import make_subplots

    names, columns = list(scores["benchmarks"]), num_columns(scores)
    rows = -(-len(names) // columns)
    height = TOP_PIXELS + BOTTOM_PIXELS + max(PANEL_PIXELS * rows, 340)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes="all",
        subplot_titles=[panel_title(name) for name in names] if len(names) > 1 else None,
        horizontal_spacing=0.04,
        vertical_spacing=70 / (height - TOP_PIXELS - BOTTOM_PIXELS),
    )
    figure.update_annotations(font_size=14, yshift=4)
    return figure.update_layout(
        template="plotly_white",
        height=height,
        font={"size": 13, "color": INK},
        title={"text": title, "font": {"size": 16}, "x": 0, "xanchor": "left", "y": 1, "pad": {"t": 38, "l": 16}},
        margin={"t": TOP_PIXELS, "b": BOTTOM_PIXELS, "l": 64, "r": 20},
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "traceorder": "normal"},
    )


def label_axes(figure: "Figure", scores: Mapping[str, Any], turns: str, shares: str) -> "Figure":
    """Whole turns on every x axis, shares on every y axis, named once a column and once a row."""
    figure.update_xaxes(title_font_size=13, title_standoff=8, ticks="outside", tickcolor=GRID)
    figure.update_xaxes(dtick=1, showgrid=False, zeroline=False)
    figure.update_yaxes(title_font_size=13, gridcolor=GRID, zerolinecolor=GRID, zerolinewidth=1)
    all_panels = list(panels(scores))
    for panel in all_panels:
        is_lowest = not any(other.column == panel.column and other.row > panel.row for other in all_panels)
        figure.update_xaxes(title_text=turns if is_lowest else None, row=panel.row, col=panel.column)
        figure.update_yaxes(title_text=shares if panel.column == 1 else None, row=panel.row, col=panel.column)
    return figure


def add(figure: "Figure", panel: Panel, trace: "Scatter") -> None:
    """Adds a trace to a panel; the legend names each line once, though every panel has it."""
    drawn: Any = figure.data
    is_named = any(other.legendgroup == trace.legendgroup and other.showlegend for other in drawn)
    trace.showlegend = trace.showlegend is not False and not is_named
    figure.add_trace(trace, row=panel.row, col=panel.column)


def policy_line(
    index: int,
    policy: str,
    share_K: Sequence[float | None],
    ends_K: Sequence[Sequence[float | None]],
    x_K: Sequence[float],
) -> "Scatter":
    """One policy's shares over turns, its interval shown on hovering."""
    from plotly.graph_objects import Scatter

    colour = POLICY_COLOURS[index % len(POLICY_COLOURS)]
    return Scatter(
        x=list(x_K),
        y=percent(share_K),
        customdata=[percent(ends) for ends in ends_K],
        hovertemplate=as_written(policy) + ": %{y:.1f} % [%{customdata[0]:.1f}, %{customdata[1]:.1f}]<extra></extra>",
        name=as_written(policy),
        legendgroup=as_written(policy),
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"symbol": POLICY_MARKERS[index % len(POLICY_MARKERS)], "size": 8},
        cliponaxis=False,
    )


def band(index: int, policy: str, ends_K: Sequence[Sequence[float | None]]) -> "Scatter":
    """One policy's 95 % band: along the lower ends and back along the upper ones."""
    from plotly.graph_objects import Scatter

    turn_K = turns_of(ends_K)
    low_K, high_K = (percent([ends[side] for ends in ends_K]) for side in (0, 1))
    return Scatter(
        x=turn_K + turn_K[::-1],
        y=low_K + high_K[::-1],
        fill="toself",
        fillcolor=POLICY_COLOURS[index % len(POLICY_COLOURS)],
        opacity=0.15,
        mode="lines",
        line={"width": 0},
        hoverinfo="skip",
        legendgroup=as_written(policy),
        showlegend=False,
    )


def control_line(index: int, policy: str, control: Mapping[str, Any], num_turns: int) -> "Scatter":
    """pass@k of one policy's independent attempts, as far as the turns go."""
    from plotly.graph_objects import Scatter

    share_K, name = control["pass_at_k"][:num_turns], f"{as_written(policy)}, pass@k of attempts"
    return Scatter(
        x=turns_of(share_K),
        y=percent(share_K),
        customdata=[percent(ends) for ends in control["ci95"][:num_turns]],
        hovertemplate=name + ": %{y:.1f} % [%{customdata[0]:.1f}, %{customdata[1]:.1f}]<extra></extra>",
        name=name,
        legendgroup=f"control of {as_written(policy)}",
        mode="lines+markers",
        line={"color": POLICY_COLOURS[index % len(POLICY_COLOURS)], "width": 1.5, "dash": "dashdot"},
        marker={"symbol": f"{POLICY_MARKERS[index % len(POLICY_MARKERS)]}-open", "size": 7},
        cliponaxis=False,
    )


def chance_line(guesser: str, share_K: Sequence[float]) -> "Scatter":
    """What a guesser reaches within k turns."""
    from plotly.graph_objects import Scatter

    name, dash = GUESSERS[guesser]
    return Scatter(
        x=turns_of(share_K),
        y=percent(share_K),
        hovertemplate=name + ": %{y:.1f} %<extra></extra>",
        name=name,
        legendgroup=guesser,
        mode="lines",
        line={"color": MUTED, "width": 1.5, "dash": dash},
    )


def error_bars(
    value_K: Sequence[float | None], ends_K: Sequence[Sequence[float | None]], scale: float = 100
) -> dict[str, Any]:
    """Distances from values to the ends of their intervals, shares in points; none where a value is not defined.

    Args:
        value_K: shares, or other numbers.
        ends_K: their intervals.
        scale: what they are drawn times: 100 for shares in per cent, 1 for numbers as they are.
    """
    below = [scaled_distance(low, value, scale) for value, (low, _) in zip(value_K, ends_K, strict=True)]
    above = [scaled_distance(value, high, scale) for value, (_, high) in zip(value_K, ends_K, strict=True)]
    return {"type": "data", "array": above, "arrayminus": below, "symmetric": False, "thickness": 1.5, "width": 3}


def scaled_distance(low: float | None, high: float | None, scale: float) -> float | None:
    """The distance of two numbers as it is drawn, None where either is not defined."""
    return None if low is None or high is None else scale * (high - low)


def percent(share_K: Sequence[float | None]) -> list[float | None]:
    """Shares in per cent; None stays None and leaves a gap."""
    return [None if share is None else 100 * share for share in share_K]


def turns_of(value_K: Sequence[Any]) -> list[int]:
    """1…K."""
    return list(range(1, len(value_K) + 1))
