"""The last lines of a run: what came out, where it is, what to do next."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

Summary = dict[str, Any]

CHARTS = {"returns_and_weights", "learning_curve", "multi_at_k_chart", "correction_rate_chart"}
VIEWERS = {"trajectory_viewer": "Training conversations", "conversation_viewer": "Held-out conversations"}


def print_closing(pipeline: "Pipeline", catalog: "CatalogProtocol", project_path: Path) -> None:
    """Prints one line for each stage that ran, the results if there are any, and the next step."""
    console = Console()
    outputs = pipeline.all_outputs()
    if "rollout_summary" in outputs:
        console.print(_rollout_table(catalog.load("rollout_summary")))
    for name, sentence in _SENTENCES.items():
        if name in outputs:
            console.print(escape(sentence(catalog.load(name))), highlight=False)
    if "multi_at_k" in outputs:
        from drift.evaluation.summary import summary_table

        console.print(summary_table(catalog.load("multi_at_k")))
    charts = sorted(outputs & CHARTS)
    if charts:
        where = project_path / "data" / "08_reporting"
        console.print(f"Charts ({', '.join(charts)}) are in {where}; see them with: kedro viz", highlight=False)
    for name, what in VIEWERS.items():
        if name in outputs:
            where = escape(str(catalog[name].place()))
            console.print(f"{what} are in {where}; open it in a browser", highlight=False, soft_wrap=True)
    for output, sentence in _NEXT_STEPS.items():
        if output in outputs:
            console.print(escape(sentence), highlight=False, soft_wrap=True)
            break


def _rollout_table(summary: Summary) -> Table:
    """The rollout in a few rows; text of the model is data, not markup."""
    from drift.rollout.summary import summary_rows

    table = Table(title="rollout", title_justify="left", show_header=False, box=None, pad_edge=False)
    for name, sentence in summary_rows(summary):
        table.add_row(Text(name, style="bold"), Text(sentence))
    return table


def _weighting_sentence(summary: Summary) -> str:
    return (
        f"weighting: {summary['num_examples']} examples, effective sample size "
        f"{summary['effective_sample_size']:.0f}, {summary['num_pruned']} of them pruned "
        f"({summary['pruned_mass']:.2%} of the weight); problems solved by all, some and none of their trajectories: "
        f"{summary['all_right']}, {summary['mixed']}, {summary['all_wrong']}."
    )


def _training_sentence(log: Any) -> str:  # noqa: ANN401
    quarter = max(1, len(log) // 4)
    losses = log["weighted_loss"]
    return (
        f"training: {len(log)} steps, weighted loss {losses.iloc[:quarter].mean():.3f} → "
        f"{losses.iloc[-quarter:].mean():.3f} (means of the first and the last quarter), "
        f"median of {log['tokens_per_second'].median():.0f} tokens/s."
    )


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "weighting_summary": _weighting_sentence,
    "training_log": _training_sentence,
}


_NEXT_STEPS = {
    "multi_at_k": (
        "Next (after `source .venv/bin/activate`), another tilt of the same trajectories, without sampling again:\n"
        "kedro run --pipelines=weighting,training,evaluation --params weighting.beta=0.2"
    ),
    "checkpoint": "Next: kedro run --pipelines=evaluation",
    "weighted_turns": "Next: kedro run --pipelines=training,evaluation",
    "trajectories": "Next: kedro run --pipelines=weighting,training,evaluation",
}
"""The stage that came furthest decides."""
