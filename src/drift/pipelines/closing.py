"""The last lines of a run: what came out, where it is, what to do next."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from drift.runs.command import same_settings

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

Summary = dict[str, Any]

CHARTS = {
    "returns_and_weights",
    "composition_chart",
    "learning_curve",
    "multi_at_k_chart",
    "correction_rate_chart",
    "answers_chart",
    "study_chart",
    "refresh.multi_at_k_chart",
    "refresh.correction_rate_chart",
}
SCORES = {"multi_at_k", "refresh.multi_at_k"}
REPORTS = {"evaluation_report", "study_report"}
VIEWERS = {
    "trajectory_viewer": "Training conversations",
    "conversation_viewer": "Held-out conversations",
    "refresh.conversation_viewer": "Held-out conversations",
}


def print_closing(
    pipeline: "Pipeline", catalog: "CatalogProtocol", project_path: Path, run_params: dict[str, Any]
) -> None:
    """Prints one line for each stage that ran, the results if there are any, and the next step."""
    console = Console()
    outputs = pipeline.all_outputs()
    if "plan" in outputs:
        _print_plan(console, catalog.load("plan"))
    if "rollout_summary" in outputs:
        console.print(_rollout_table(catalog.load("rollout_summary")))
    for name, sentence in _SENTENCES.items():
        if name in outputs:
            console.print(escape(sentence(catalog.load(name))), highlight=False)
    for name in sorted(outputs & SCORES):
        from drift.evaluation.summary import summary_table

        console.print(summary_table(catalog.load(name), console.width))
    if "study_results" in outputs:
        from drift.study.summary import study_summary

        console.print(study_summary(catalog.load("study_results"), console.width))
    charts = sorted(outputs & CHARTS)
    if charts:
        where = project_path / "data" / "08_reporting"
        console.print(f"Charts ({', '.join(charts)}) are in {where}; see them with: kedro viz", highlight=False)
    for name, what in VIEWERS.items():
        if name in outputs:
            where = escape(str(catalog[name].place()))
            console.print(f"{what} are in {where}; open it in a browser", highlight=False, soft_wrap=True)
    for name in sorted(outputs & REPORTS):
        from drift.evaluation.report import PAGE

        page = catalog.load(name) / PAGE
        console.print(f"Report, one page to open or to send: {page}", highlight=False, soft_wrap=True)
    if "model_card" in outputs:
        where = escape(str(catalog["model_card"].place()))
        console.print(
            f"Model card with results, to publish beside the checkpoint: {where}", highlight=False, soft_wrap=True
        )
    if step := next_step(outputs, run_params):
        console.print(escape(step), highlight=False, soft_wrap=True)


def next_step(outputs: set[str], run_params: dict[str, Any]) -> str | None:
    """A command to go on with after a run: the stage that came furthest decides, and the run's settings are kept.

    Args:
        outputs: what the run made.
        run_params: what Kedro's hooks are given.
    """
    for output, (sentence, command, *changes) in _NEXT_STEPS.items():
        if output in outputs:
            return f"{sentence}{command}{same_settings(run_params, *changes)}"
    return None


def _print_plan(console: Console, plan: Summary) -> None:
    """The dry run: its numbers, what they rest on, and what would go wrong."""
    from drift.planning.table import plan_rows

    console.print(_table("plan", plan_rows(plan)))
    for heading, sentences in (("Assumed", plan["assumptions"]), ("Beware", plan["warnings"])):
        for sentence in sentences:
            console.print(escape(f"{heading}: {sentence}"), highlight=False)


def _rollout_table(summary: Summary) -> Table:
    """The rollout in a few rows."""
    from drift.rollout.summary import summary_rows

    return _table("rollout", summary_rows(summary))


def _table(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """Names and sentences; text of the model is data, not markup."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    for name, sentence in rows:
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
    from drift.training.charts import first_and_last

    first, last = first_and_last(log, "weighted_mean_loss")
    held_out = log["held_out_loss"].dropna()
    measured = f", on held-out problems {held_out.iloc[0]:.3f} → {held_out.iloc[-1]:.3f}" if len(held_out) else ""
    pruned = log["pruned_mass"].max()
    bound = (
        f"; pruning changed a step's gradient by at most {pruned:.1e} of the largest gradient of one example"
        if pruned
        else ""
    )
    return (
        f"training: {len(log)} steps, weighted mean loss {first:.3f} → {last:.3f} nats per token (means of the first "
        f"and the last quarter){measured}, median of {log['tokens_per_second'].median():,.0f} tokens/s{bound}."
    )


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "weighting_summary": _weighting_sentence,
    "training_log": _training_sentence,
}


_NEXT_STEPS = {
    "multi_at_k": (
        "Next (after `source .venv/bin/activate`), another tilt of the same trajectories, without sampling again:\n",
        "kedro run --pipelines=weighting,training,evaluation",
        "weighting.beta=0.2",
    ),
    "checkpoint": ("Next: ", "kedro run --pipelines=evaluation"),
    "weighted_turns": ("Next: ", "kedro run --pipelines=training,evaluation"),
    "trajectories": ("Next: ", "kedro run --pipelines=weighting,training,evaluation"),
    "plan": ("Nothing was spent. The job itself: ", "kedro run"),
}
"""For each output: a sentence, a command, and parameters that it changes; the furthest stage first."""
