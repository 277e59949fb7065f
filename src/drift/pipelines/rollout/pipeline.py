"""prepare_reference_model → load_train_problems → sample_trajectories."""

from kedro.pipeline import Pipeline, node, pipeline

from drift.pipelines.rollout.nodes import (
    load_train_problems,
    prepare_reference_model,
    sample_trajectories,
    summarize_rollout,
)


def create_pipeline() -> Pipeline:
    """Stage 1."""
    return pipeline(
        [
            node(
                prepare_reference_model,
                inputs=["params:model", "params:working_directory"],
                outputs="reference_model",
                name="prepare_reference_model_node",
            ),
            node(
                load_train_problems,
                inputs=[
                    "params:problems",
                    "params:protocol",
                    "params:rollout",
                    "params:model",
                    "reference_model",
                    "params:seed",
                ],
                outputs="train_problems",
                name="load_train_problems_node",
            ),
            node(
                sample_trajectories,
                inputs=[
                    "train_problems",
                    "reference_model",
                    "params:model",
                    "params:protocol",
                    "params:rollout",
                    "params:seed",
                    "params:working_directory",
                ],
                outputs="trajectories",
                name="sample_trajectories_node",
            ),
            node(
                summarize_rollout,
                inputs="trajectories",
                outputs="rollout_summary",
                name="summarize_rollout_node",
            ),
        ]
    )
