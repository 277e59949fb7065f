"""All charts of a study, those that it has data for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drift.study.costs_chart import costs_chart
from drift.study.penalty_chart import penalty_chart
from drift.study.sweep_chart import sweep_chart
from drift.study.turns_chart import terminal_chart, turns_chart
from drift.study.variants_chart import variants_chart

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def study_chart(results: Mapping[str, Any]) -> "Figure":
    """The chart that every study has: its variants side by side."""
    return variants_chart(results)


def study_charts(results: Mapping[str, Any]) -> dict[str, "Figure"]:
    """The charts by name, in the order in which they are shown.

    Args:
        results: what `drift.study.results.study_results` returned.
    """
    charts = {
        "variants": study_chart(results),
        "terminal_or_all_turns": terminal_chart(results),
        "by_turn": turns_chart(results),
        "penalty": penalty_chart(results),
        "costs": costs_chart(results),
        **{f"sweep_{parameter}": sweep_chart(results, parameter) for parameter in results["sweeps"]},
    }
    return {name: chart for name, chart in charts.items() if chart is not None}
