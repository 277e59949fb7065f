"""A checkpoint's card with what was measured: multi@k of reference and trained policy, and the Hub's index of it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from drift.evaluation.outcomes import TRAINED
from drift.evaluation.summary import summary_markdown

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


def evaluated_card(card: str | None, scores: Mapping[str, Any]) -> str:
    """Adds the results to a checkpoint's card.

    Args:
        card: the card that lies in the checkpoint; None for a checkpoint that has none.
        scores: what `drift.evaluation.score.score` returned.
    """
    from huggingface_hub import ModelCard, ModelCardData

    whole = ModelCard(card or "---\nlibrary_name: transformers\n---\n# A policy trained with DRIFT\n")
    title = next(line for line in whole.text.splitlines() if line.startswith("# "))
    index = {"model_name": title.removeprefix("# "), "eval_results": list(eval_results(scores))}
    head = ModelCardData(**whole.data.to_dict(), **index).to_yaml()
    before, origin, after = whole.text.partition("## Where it comes from")
    return f"---\n{head}\n---\n\n{before.strip()}\n\n{results_section(scores)}\n{origin}{after}"


def results_section(scores: Mapping[str, Any]) -> str:
    """The results in words and a table."""
    return (
        "## Results\n\nHeld-out problems, greedy decoding, told when wrong, stopped when right. multi@k is the share "
        f"of problems solved within k turns.\n\n{summary_markdown(scores)}"
    )


def eval_results(scores: Mapping[str, Any]) -> "Iterator[EvalResult]":
    """The trained policy's multi@1 and multi@K of each benchmark, as the Hub indexes results."""
    from huggingface_hub import EvalResult

    for name, entry in scores["benchmarks"].items():
        shares = entry[TRAINED]["multi_at_k"] if TRAINED in entry else []
        for turn in sorted({1, len(shares)}) if shares else []:
            yield EvalResult(
                task_type="text-generation",
                dataset_type=name,
                dataset_name=name,
                metric_type=f"multi@{turn}",
                metric_name=f"multi@{turn}, greedy",
                metric_value=round(100 * shares[turn - 1], 2),
            )
