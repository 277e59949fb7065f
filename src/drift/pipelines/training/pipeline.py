"""train_policy."""

from kedro.pipeline import Pipeline, node, pipeline

from drift.pipelines.training.nodes import draw_learning_curve, train_policy


def create_pipeline() -> Pipeline:
    """Stage 3."""
    return pipeline(
        [
            node(
                train_policy,
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
