"""train_policy."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Pipeline, node, pipeline

from drift.pipelines.training.nodes import draw_learning_curve, train_policy


def create_pipeline(train: Callable[..., Any] = train_policy) -> Pipeline:
    """Stage 3.

    Args:
        train: `train_policy`, or what takes its place with the same arguments and results.
    """
    return pipeline(
        [
            node(
                train,
                inputs=[
                    "weighted_turns",
                    "reference_model",
                    "params:model",
                    "params:training",
                    "params:weighting",
                    "params:seed",
                    "params:working_directory",
                ],
                outputs=["checkpoint", "training_log"],
                name="train_policy_node",
            ),
            node(
                draw_learning_curve,
                inputs="training_log",
                outputs="learning_curve",
                name="draw_learning_curve_node",
            ),
        ]
    )
