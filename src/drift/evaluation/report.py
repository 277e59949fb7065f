"""The report: one page a person can send, the same numbers as Markdown, LaTeX and JSON, and every chart as a file.

The page needs nothing but itself: plotly.js is inside, once, and the browser is told to fetch nothing. Everything that
comes from data is escaped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drift.evaluation.chart_pages import chart_pages
from drift.evaluation.explanations import EXPLANATIONS
from drift.evaluation.latex import overview_latex
from drift.evaluation.made_from import Cost
from drift.evaluation.numbers_in_words import UNDEFINED, p_text, points_text, share_text
from drift.evaluation.outcomes import policy_names
from drift.evaluation.overview import budget, columns_of, overview_rows
from drift.evaluation.repeat import parameters_yaml
from drift.evaluation.summary import (
    chance_sentences,
    header,
    sections,
    summary_markdown,
)
from drift.evaluation.templates import template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAGE = "report.html"
TEMPLATE = "report.html.jinja"


@dataclass(frozen=True)
class Report:
    """Everything the report tells.

    Attributes:
        scores: what `drift.evaluation.score.score` returned.
        charts: by name, in the order in which they are shown.
        parameters: that repeat the result.
        differences: settings one file of parameters cannot say.
        origins: versions, fingerprints, seeds, code, machine, packages.
        costs: of each stage.
    """

    scores: Mapping[str, Any]
    charts: Mapping[str, "Figure"]
    parameters: Mapping[str, Any]
    differences: Sequence[str]
    origins: Mapping[str, Any]
    costs: Sequence[Cost]


def report_files(report: Report) -> dict[str, str]:
    """The files of the report by name."""
    results = {
        "scores": report.scores,
        "origins": report.origins,
        "costs": [cost._asdict() for cost in report.costs],
        "not_in_parameters": list(report.differences),
    }
    return {
        PAGE: page(report),
        "table.md": summary_markdown(report.scores),
        "table.tex": overview_latex(report.scores),
        "results.json": json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        "parameters.yml": parameters_yaml(report.parameters, list(report.differences)),
        **chart_pages(report.charts),
    }


def page(report: Report) -> str:
    """The page."""
    from plotly.offline import get_plotlyjs

    scores = report.scores
    return template(TEMPLATE).render(
        headline=headline(scores),
        budget=budget(scores),
        columns=columns_of(scores),
        overview=overview_rows(scores),
        header=header(scores),
        sections=sections(scores),
        notes=chance_sentences(scores),
        controls=control_cells(scores),
        charts=[json.loads(chart.to_json()) for chart in report.charts.values()],
        plotly_js=get_plotlyjs(),
        explanations=EXPLANATIONS,
        parameters=parameters_yaml(report.parameters, list(report.differences)),
        differences=report.differences,
        origins=origin_rows(report.origins),
        costs=[cost_cells(cost) for cost in report.costs],
    )


def headline(scores: Mapping[str, Any]) -> list[str]:
    """What came out, in one sentence for each policy: on the only benchmark, or on average."""
    column = columns_of(scores)[-1]
    place = f"on {column.name} ({column.size})" if not column.is_average else f"as the {column.name} of {column.size}"
    sentences = []
    for policy, entry in column.policies.items():
        sentence = (
            f"{policy}: multi@{budget(scores)} of {share_text(entry['multi_at_k'][-1], entry['ci95'][-1])} {place}"
        )
        if policy in column.differences:
            difference = column.differences[policy]
            points = points_text(difference["multi_at_k"][-1], difference["ci95"][-1])
            sentence += f", {points} points from the reference (p {p_text(difference['p_value'][-1])})"
        sentences.append(sentence)
    return sentences


def control_cells(scores: Mapping[str, Any]) -> list[list[str]]:
    """Lines of the table of conversations beside independent attempts of the same price."""
    rows = []
    for name, entry in scores["benchmarks"].items():
        for policy in policy_names(entry):
            if control := entry[policy]["control"]:
                equal = control["at_equal_tokens"]
                passed = None if equal["pass_at_k"] is None else f"{100 * equal['pass_at_k']:.1f} %"
                attempts = None if equal["attempts"] is None else f"{equal['attempts']:.1f}"
                rows.append(
                    [
                        name,
                        policy,
                        f"{equal['response_tokens']:,.0f}",
                        attempts or f"more than {control['attempts'] + 1}",
                        f"{100 * equal['multi_at_k']:.1f} %",
                        passed or UNDEFINED,
                        points_text(equal["difference"], equal["ci95"]),
                        p_text(equal["p_value"]),
                    ]
                )
    return rows


def origin_rows(origins: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of everything that is known."""
    rows = []
    for group, values in origins.items():
        words = group.replace("_", " ")
        named = {f"{words}: {name}": value for name, value in values.items()} if isinstance(values, Mapping) else None
        rows += ({words: values} if named is None else named).items()
    texts = [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in rows
        if value is not None
    ]
    return [(name, text) for name, text in texts if text]


def cost_cells(cost: Cost) -> list[str]:
    """A line of the table of costs."""
    rate = f"{cost.tokens / cost.seconds:,.0f}" if cost.seconds and cost.tokens is not None else "-"
    return [
        cost.stage,
        "not known" if cost.seconds is None else f"{cost.seconds:,.0f}",
        "not known" if cost.tokens is None else f"{cost.tokens:,.0f} {cost.of}",
        rate,
    ]
