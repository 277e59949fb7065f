"""Nodes of stage 4: held-out problems, greedy conversations with both policies, multi@k."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from drift.model_directory import ModelDirectory
from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RolloutParameters,
    Seed,
    WeightingParameters,
    WorkingDirectory,
)
from drift.pipelines.problem_frames import from_frame, to_frame
from drift.shards import Shards, ShardStream

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
else:
    Figure = Any  # plotly is imported when a chart is drawn, not before


def load_eval_problems(
    train_problems: pd.DataFrame,
    problems: ProblemsParameters,
    protocol: ProtocolParameters,
    evaluation: EvaluationParameters,
    model: ModelParameters,
    reference_model: ModelDirectory,
    seed: Seed,
) -> pd.DataFrame:
    """Loads the held-out problems, checks them, and refuses those that are trained on."""
    from drift.problems.leaks import refuse_leaks
    from drift.problems.sources import load_problems
    from drift.rollout.checks import check_problems

    loaded = load_problems(problems.evaluation, "evaluation", seed.root)
    refuse_leaks(from_frame(train_problems), loaded)
    check_problems(loaded, reference_model, model, protocol, evaluation.max_new_tokens)
    return to_frame(loaded)


def evaluate_policies(
    eval_problems: pd.DataFrame,
    reference_model: ModelDirectory,
    checkpoint: ModelDirectory,
    model: ModelParameters,
    protocol: ProtocolParameters,
    rollout: RolloutParameters,
    evaluation: EvaluationParameters,
    working_directory: WorkingDirectory,
) -> ShardStream:
    """Holds one greedy conversation per held-out problem with each policy."""
    from drift.evaluation.conversations import evaluate_policies

    return evaluate_policies(
        from_frame(eval_problems),
        {"reference": reference_model, "trained": checkpoint},
        model,
        protocol,
        evaluation,
        rollout,
        working_directory.root / "evaluation",
    )


def score(
    eval_trajectories: Shards,
    eval_problems: pd.DataFrame,
    protocol: ProtocolParameters,
    evaluation: EvaluationParameters,
    seed: Seed,
) -> dict[str, Any]:
    """Computes multi@k, correction rates and their intervals."""
    from drift.evaluation.score import score
    from drift.problems.problem import to_table

    problems = to_table(from_frame(eval_problems))
    return score(eval_trajectories.read(), problems, protocol.max_turns, evaluation.bootstrap_samples, seed.root)


def draw_multi_at_k(multi_at_k: dict[str, Any]) -> Figure:
    """Draws multi@k by policy."""
    from drift.evaluation.charts import multi_at_k_chart

    return multi_at_k_chart(multi_at_k)


def draw_correction_rate(multi_at_k: dict[str, Any]) -> Figure:
    """Draws the correction rate by turn."""
    from drift.evaluation.charts import correction_rate_chart

    return correction_rate_chart(multi_at_k)


def show_conversations(
    eval_trajectories: Shards,
    eval_problems: pd.DataFrame,
    reference_model: ModelDirectory,
    model: ModelParameters,
    weighting: WeightingParameters,
) -> str:
    """Makes the page on which the held-out conversations are read."""
    from drift.evaluation.viewer.conversations import held_out_conversations
    from drift.evaluation.viewer.raw_chat import RawChatReader
    from drift.evaluation.viewer.viewer import held_out_viewer

    shown = held_out_conversations(eval_trajectories, from_frame(eval_problems), weighting)
    reader = RawChatReader.of_model(reference_model.path, model.trust_remote_code)
    return held_out_viewer(shown, eval_trajectories.provenance, reader)
