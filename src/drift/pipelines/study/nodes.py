"""Nodes of a study: the result of one cell, and the tables and charts of all of them."""

import logging
from typing import TYPE_CHECKING, Any

import pandas as pd

from drift.model_directory import ModelDirectory
from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProtocolParameters,
    Seed,
    StudyParameters,
    TrainingParameters,
    WeightingParameters,
    WorkingDirectory,
)
from drift.pipelines.problem_frames import from_frame
from drift.pipelines.training.nodes import train_policy
from drift.shards import Shards

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
else:
    Figure = Any  # plotly is imported when a chart is drawn, not before

logger = logging.getLogger(__name__)


def train_or_keep_policy(
    weighted_turns: Shards,
    reference_model: ModelDirectory,
    model: ModelParameters,
    training: TrainingParameters,
    weighting: WeightingParameters,
    seed: Seed,
    working_directory: WorkingDirectory,
) -> tuple[ModelDirectory, pd.DataFrame]:
    """Fine-tunes the policy, or keeps it where a variant has nothing to train on: the others need not wait for that."""
    if weighted_turns.num_rows():
        return train_policy(weighted_turns, reference_model, model, training, weighting, seed, working_directory)
    from drift.formats import with_training_format
    from drift.training.kept_policy import kept_policy
    from drift.training.step_log import StepLog

    logger.warning("%s holds no example: nothing is trained, and the policy is kept as it is", weighted_turns.path)
    log = pd.DataFrame(columns=list(StepLog.__dataclass_fields__), dtype=float)
    training = with_training_format(training, reference_model.path, working_directory.root)
    return kept_policy(weighted_turns, reference_model, training, weighting, seed.root), log


def summarize_cell(
    cell: dict[str, Any],
    weighting_summary: dict[str, Any],
    eval_trajectories: Shards,
    eval_problems: pd.DataFrame,
    protocol: ProtocolParameters,
    *rounds: Shards | pd.DataFrame,
) -> dict[str, Any]:
    """Gathers what one variant came to with one seed; what it was asked for goes with it.

    Args:
        cell: what it is, and everything that decides its result.
        weighting_summary: of its last round.
        eval_trajectories: of its last policy and the reference.
        eval_problems: what they were asked.
        protocol: how.
        rounds: the trajectories of each round, then the training log of each.
    """
    from drift.problems.problem import to_table
    from drift.study.cell import cell_of

    result = cell_of(
        cell["study"],
        cell["seed"],
        cell["variant"],
        cell["swept"],
        cell["facts"],
        weighting_summary,
        [part for part in rounds if isinstance(part, Shards)],
        [part for part in rounds if not isinstance(part, Shards)],
        eval_trajectories,
        to_table(from_frame(eval_problems)),
        protocol.max_turns,
    )
    logger.info("Done: variant %s with seed %d", cell["variant"], cell["seed"])
    return dict(result)


def tabulate_study(study: StudyParameters, evaluation: EvaluationParameters, *cells: dict[str, Any]) -> dict[str, Any]:
    """Puts variants side by side, with intervals over problems and seeds."""
    from drift.study.results import study_results

    sweeps = [parameter for parameter, values in study.sweeps if values]
    return study_results(cells, study.baseline, study.swept, sweeps, evaluation.bootstrap_samples)  # pyrefly: ignore


def draw_study(study_results: dict[str, Any]) -> Figure:
    """Draws multi@k and correction rates of all variants."""
    from drift.study.figures import study_chart

    return study_chart(study_results)


def write_study_report(study_results: dict[str, Any]) -> dict[str, str]:
    """Writes the paper's tables and figures as far as the study has their data."""
    from drift.study.page import study_page

    return study_page(study_results)
