"""The study's report: one page a person can send, the tables as Markdown and LaTeX, the numbers, every chart as a file.

The page needs nothing but itself: plotly.js is inside, once, and the browser is told to fetch nothing. Everything that
comes from data is escaped.
"""

import json
from collections.abc import Mapping
from typing import Any

from drift.evaluation.chart_pages import chart_pages
from drift.evaluation.summary import escaped
from drift.evaluation.templates import template
from drift.study.figures import study_charts
from drift.study.findings import cautions, findings
from drift.study.table_formats import table_markdown, tables_latex
from drift.study.tables import study_tables

PAGE = "report.html"
TEMPLATE = "study.html.jinja"


def study_page(results: Mapping[str, Any]) -> dict[str, str]:
    """The files of the report by name.

    Args:
        results: what `drift.study.results.study_results` returned.
    """
    from plotly.offline import get_plotlyjs

    tables, charts = study_tables(results), study_charts(results)
    page = template(TEMPLATE, "drift.study").render(
        study=results["study"],
        max_turns=results["max_turns"],
        model=results["asked"].get("model", {}).get("path"),
        findings=findings(results),
        cautions=cautions(results),
        tables=tables,
        charts=[json.loads(chart.to_json() or "") for chart in charts.values()],
        settings=settings_json(results),
        plotly_js=get_plotlyjs(),
    )
    return {
        PAGE: page,
        "results.md": results_markdown(results),
        "tables.tex": tables_latex(tables),
        "results.json": json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        **chart_pages(charts),
    }


def results_markdown(results: Mapping[str, Any]) -> str:
    """The sentences, then the tables."""
    lists = [
        "\n".join(f"- {escaped(sentence)}" for sentence in sentences(results)) for sentences in (findings, cautions)
    ]
    return "\n\n".join([*filter(None, lists), *map(table_markdown, study_tables(results).values())])


def settings_json(results: Mapping[str, Any]) -> str:
    """What all variants share, the settings of every variant, and the versions of what made the tables."""
    policies = results["policies"].items()
    settings = {
        "asked": results["asked"],
        "variants": {policy: entry["settings"] for policy, entry in policies if entry["settings"] is not None},
        "packages": results["packages"],
    }
    return json.dumps(settings, indent=2, ensure_ascii=False)
