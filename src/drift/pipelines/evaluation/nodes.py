"""Nodes of stage 4: held-out problems, greedy conversations with every policy, multi@k."""

import logging
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
    complete_parameters,
)
from drift.pipelines.problem_frames import from_frame, to_frame
from drift.shards import Shards, ShardStream

logger = logging.getLogger(__name__)

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
    """Loads the held-out problems, checks them and the further policies, and refuses those that are trained on."""
    from drift.evaluation.policies import named_policies
    from drift.problems.leaks import refuse_leaks
    from drift.problems.sources import load_evaluation_problems, published_names
    from drift.rollout.checks import check_problems, refuse_misfits

    sources = problems.evaluation_sources
    loaded = load_evaluation_problems(sources, seed.root)
    refuse_leaks(from_frame(train_problems), loaded)
    for policy in named_policies(evaluation.policies).values():
        refuse_misfits(loaded, policy, model, protocol, evaluation.max_new_tokens)
    return to_frame(
        check_problems(loaded, reference_model, model, protocol, evaluation.max_new_tokens, published_names(sources))
    )


def evaluate_policies(
    eval_problems: pd.DataFrame,
    reference_model: ModelDirectory,
    checkpoint: ModelDirectory,
    model: ModelParameters,
    protocol: ProtocolParameters,
    rollout: RolloutParameters,
    evaluation: EvaluationParameters,
    seed: Seed,
    working_directory: WorkingDirectory,
) -> tuple[ShardStream, ShardStream]:
    """Holds one greedy conversation per held-out problem with each policy, and makes the attempts of the control."""
    from drift.evaluation.conversations import evaluate_policies
    from drift.evaluation.outcomes import REFERENCE, TRAINED
    from drift.evaluation.policies import named_policies

    policies = {REFERENCE: reference_model, TRAINED: checkpoint, **named_policies(evaluation.policies)}
    logger.info("Evaluation: %d held-out problems, policies %s", len(eval_problems), ", ".join(policies))
    return evaluate_policies(
        from_frame(eval_problems),
        policies,
        model,
        protocol,
        evaluation,
        rollout,
        seed.root,
        working_directory.root / "evaluation",
    )


def score(
    eval_trajectories: Shards,
    eval_attempts: Shards,
    eval_problems: pd.DataFrame,
    protocol: ProtocolParameters,
    evaluation: EvaluationParameters,
    seed: Seed,
) -> dict[str, Any]:
    """Computes multi@k, what explains it, its control, and how sure all of it is; says what it was computed from."""
    from drift.evaluation.outcomes import OUTCOME_COLUMNS
    from drift.evaluation.score import score
    from drift.evaluation.scored_from import KEY, scored_from
    from drift.problems.benchmarks import domains
    from drift.problems.problem import to_table

    scores = score(
        eval_trajectories.read(OUTCOME_COLUMNS),
        to_table(from_frame(eval_problems)),
        protocol.max_turns,
        evaluation.bootstrap_samples,
        seed.root,
        domain_by_benchmark=domains(),
        attempts=eval_attempts.read(OUTCOME_COLUMNS) if eval_attempts.num_rows() else None,
    )
    return {**scores, KEY: scored_from(eval_trajectories, eval_attempts)}


def draw_multi_at_k(multi_at_k: dict[str, Any]) -> Figure:
    """Draws multi@k by policy."""
    from drift.evaluation.charts import multi_at_k_chart

    return multi_at_k_chart(multi_at_k)


def draw_correction_rate(multi_at_k: dict[str, Any]) -> Figure:
    """Draws the correction rate by turn."""
    from drift.evaluation.charts import correction_rate_chart

    return correction_rate_chart(multi_at_k)


def draw_answers(multi_at_k: dict[str, Any]) -> Figure:
    """Draws repeated, lost and distinct answers by policy."""
    from drift.evaluation.answers_chart import answers_chart

    return answers_chart(multi_at_k)


def write_report(
    multi_at_k: dict[str, Any],
    eval_trajectories: Shards,
    eval_attempts: Shards,
    checkpoint: ModelDirectory,
    training_log: pd.DataFrame,
    train_problems: pd.DataFrame,
    parameters: dict[str, Any],
) -> dict[str, str]:
    """Writes the report; a checkpoint, its log and its problems are all that it needs of the other stages."""
    from drift.evaluation.made_from import costs, origins
    from drift.evaluation.repeat import repeating_parameters, unrepeated
    from drift.evaluation.report import Report, report_files
    from drift.evaluation.report_charts import report_charts
    from drift.evaluation.scored_from import refuse_other_checkpoint, refuse_other_conversations
    from drift.rollout.plan import problems_fingerprint

    refuse_other_conversations(multi_at_k, eval_trajectories, eval_attempts)
    refuse_other_checkpoint(multi_at_k, checkpoint)
    repeating = repeating_parameters(complete_parameters(parameters), checkpoint.provenance)
    asked = problems_fingerprint(from_frame(train_problems))
    report = Report(
        multi_at_k,
        report_charts(multi_at_k, checkpoint, training_log),
        repeating,
        unrepeated(repeating, checkpoint.provenance, eval_trajectories.provenance, eval_attempts.provenance, asked),
        origins(eval_trajectories, eval_attempts, checkpoint),
        costs(eval_trajectories, eval_attempts, checkpoint, training_log),
    )
    return report_files(report)


def write_model_card(checkpoint: ModelDirectory, multi_at_k: dict[str, Any]) -> str:
    """Writes the checkpoint's card with what was measured."""
    from drift.evaluation.card import evaluated_card
    from drift.evaluation.scored_from import refuse_other_checkpoint

    refuse_other_checkpoint(multi_at_k, checkpoint)
    return evaluated_card(checkpoint.card, multi_at_k)


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
