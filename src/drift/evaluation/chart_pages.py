"""Each chart as a page of its own; they share plotly.js, which lies beside them."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drift.evaluation.templates import template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PLOTLY = "plotly.min.js"
TEMPLATE = "chart.html.jinja"


def chart_pages(charts: Mapping[str, "Figure"]) -> dict[str, str]:
    """The files by name: one page for each chart, and plotly.js.

    Args:
        charts: by name; the names become names of files.
    """
    from plotly.offline import get_plotlyjs

    pages = {
        f"{name}.html": template(TEMPLATE).render(
            name=name.replace("_", " "), plotly=PLOTLY, chart=json.loads(chart.to_json() or "")
        )
        for name, chart in charts.items()
    }
    return {**pages, PLOTLY: get_plotlyjs()}
