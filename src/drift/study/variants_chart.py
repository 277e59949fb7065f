"""The chart of the variants: what each reaches, and how far it is from the baseline.

plotly is imported when a chart is drawn, not before.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from drift.chart_style import GRID, MUTED, as_written, house_layout
from drift.evaluation.charts import POLICY_COLOURS, POLICY_MARKERS, panel_title
from drift.evaluation.numbers_in_words import points_text
from drift.evaluation.outcomes import REFERENCE
from drift.study.places import Place, compared_with, difference_at, headline_place, label_of, policies_at

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

PIXELS_PER_POLICY, OTHER_PIXELS = 38, 210


class Point(NamedTuple):
    """A number of one policy.

    Attributes:
        policy: its name.
        value: a share, or a difference of shares.
        ends: its interval.
    """

    policy: str
    value: float
    ends: Sequence[float]


def variants_chart(results: Mapping[str, Any]) -> "Figure":
    """multi@1, multi@K and correction rate of every policy of no sweep, and its paired difference from the baseline.

    Drawn where most policies are: on the average of all benchmarks, or on one of them.

    Args:
        results: what `drift.study.results.study_results` returned.
    """
    from plotly.subplots import make_subplots

    place, k = headline_place(results), results["max_turns"]
    policies = list(policies_at(results, place))
    before = next(iter(compared_with(results)), None)
    panels = {
        "multi@1": points(results, place, "multi_at_k", 0),
        f"multi@{k}": points(results, place, "multi_at_k", -1),
        "first mistakes corrected": points(results, place, "correction_rate_overall", None),
        f"multi@{k} minus {before}": gains(results, place, before),
    }
    panels = {title: of_panel for title, of_panel in panels.items() if of_panel}
    figure = make_subplots(
        rows=1,
        cols=len(panels),
        shared_yaxes=True,
        subplot_titles=[panel_title(title) for title in panels],
        horizontal_spacing=0.03,
    )
    for column, (title, of_panel) in enumerate(panels.items(), start=1):
        for point in of_panel:
            figure.add_trace(marker(results, policies.index(point.policy), point), row=1, col=column)
        is_gain = " minus " in title
        figure.update_xaxes(title_text=axis_of(title), row=1, col=column)
        if is_gain:
            figure.add_vline(x=0, line={"color": MUTED, "width": 1.5, "dash": "dash"}, row=1, col=column)
        else:
            figure.update_xaxes(range=[0, 102], row=1, col=column)
    figure.update_xaxes(title_font_size=13, title_standoff=8, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(
        tickvals=list(range(len(policies))),
        ticktext=[as_written(label_of(results, policy)) for policy in policies],
        range=[len(policies) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    figure.update_annotations(font_size=13)
    figure.update_layout(
        **house_layout(title_of(results, place, before), OTHER_PIXELS + PIXELS_PER_POLICY * len(policies))
    )
    return figure.update_layout(title={"xref": "container", "pad": {"l": 20}}, margin={"l": 20, "t": 90})


def axis_of(title: str) -> str:
    """The unit of a panel."""
    return "points" if " minus " in title else "problems (%)" if "@" in title else "mistakes (%)"


def points(results: Mapping[str, Any], place: Place, metric: str, index: int | None) -> list[Point]:
    """One metric of every policy that has it."""
    found = []
    for policy, entry in policies_at(results, place).items():
        value, ends = entry[metric]["value"], entry[metric]["ci95"]
        found.append(Point(policy, value, ends) if index is None else Point(policy, value[index], ends[index]))
    return [point for point in found if point.value is not None]


def gains(results: Mapping[str, Any], place: Place, before: str | None) -> list[Point]:
    """What every other policy has more of multi@K."""
    found = {policy: difference_at(results, before, policy, place) for policy in policies_at(results, place)}
    return [
        Point(policy, entry["multi_at_k"]["value"][-1], entry["multi_at_k"]["ci95"][-1])
        for policy, entry in found.items()
        if entry is not None
    ]


def marker(results: Mapping[str, Any], index: int, point: Point) -> "Scatter":
    """One number of one policy with its interval."""
    from plotly.graph_objects import Scatter

    low, high = (100 * end for end in point.ends)
    value, name = 100 * point.value, as_written(label_of(results, point.policy))
    return Scatter(
        x=[value],
        y=[index],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - value],
            "arrayminus": [value - low],
            "thickness": 1.5,
            "width": 4,
        },
        hovertemplate=f"{name}: {value:.1f} [{low:.1f}, {high:.1f}]<extra></extra>",
        mode="markers",
        marker={
            "symbol": POLICY_MARKERS[index % len(POLICY_MARKERS)],
            "size": 9,
            "color": colour_of(index, point.policy),
        },
        showlegend=False,
    )


def colour_of(index: int, policy: str) -> str:
    """The reference is grey, the variants have the colours of policies."""
    return MUTED if policy == REFERENCE else POLICY_COLOURS[(index - 1) % len(POLICY_COLOURS)]


def title_of(results: Mapping[str, Any], place: Place, before: str | None) -> str:
    """The finding: the first variant's difference from the baseline, else what there is."""
    found = gains(results, place, before)
    quantity, where = f"multi@{results['max_turns']}", as_written(place.label)
    if not found:
        return f"{quantity} on {where}"
    first = found[0]
    gain = points_text(first.value, first.ends)
    return f"{quantity} on {where}: {as_written(first.policy)} {gain} points from {as_written(before or '')}"
