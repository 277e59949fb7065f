"""Nodes of stage 3: the trained policy and its learning curve."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, Seed, TrainingParameters, WeightingParameters, WorkingDirectory
from drift.shards import Shards

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
else:
    Figure = Any  # plotly is imported when a chart is drawn, not before


def train_policy(
    weighted_turns: Shards,
    reference_model: ModelDirectory,
    model: ModelParameters,
    training: TrainingParameters,
    weighting: WeightingParameters,
    seed: Seed,
    working_directory: WorkingDirectory,
) -> tuple[ModelDirectory, pd.DataFrame]:
    """Fine-tunes the reference policy on the weighted turns."""
    import torch

    from drift.rollout.kept_engine import release_engine
    from drift.training.policy import train_policy

    if torch.cuda.device_count():
        release_engine()  # training needs the GPU's memory
    directory = working_directory.root / "training"
    checkpoint, log = train_policy(weighted_turns, reference_model, model, training, weighting, seed.root, directory)
    return checkpoint, pd.DataFrame(log).astype(dict.fromkeys(("weighted_mean_loss", "mfu", "held_out_loss"), float))


def draw_learning_curve(training_log: pd.DataFrame) -> Figure:
    """Draws losses, gradient norm, examples and speed over the steps."""
    from drift.training.charts import learning_curve_chart

    return learning_curve_chart(training_log)
