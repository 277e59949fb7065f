"""shape_returns → weigh_trajectories."""

from kedro.pipeline import Pipeline, node, pipeline

from drift.pipelines.weighting.nodes import (
    draw_composition,
    draw_weights,
    shape_returns,
    show_trajectories,
    summarize_weights,
    weigh_trajectories,
)


def create_pipeline() -> Pipeline:
    """Stage 2."""
    return pipeline(
        [
            node(
                shape_returns,
                inputs=["trajectories", "params:weighting"],
                outputs="shaped_returns",
                name="shape_returns_node",
            ),
            node(
                weigh_trajectories,
                inputs=["trajectories", "shaped_returns", "params:weighting"],
                outputs="weighted_turns",
                name="weigh_trajectories_node",
            ),
            node(
                summarize_weights,
                inputs=["shaped_returns", "weighted_turns", "params:weighting"],
                outputs="weighting_summary",
                name="summarize_weights_node",
            ),
            node(
                draw_weights,
                inputs=["shaped_returns", "weighted_turns", "weighting_summary"],
                outputs="returns_and_weights",
                name="draw_weights_node",
            ),
            node(
                draw_composition,
                inputs="weighting_summary",
                outputs="composition_chart",
                name="draw_composition_node",
            ),
            node(
                show_trajectories,
                inputs=[
                    "trajectories",
                    "shaped_returns",
                    "weighted_turns",
                    "train_problems",
                    "reference_model",
                    "params:model",
                    "params:weighting",
                ],
                outputs="trajectory_viewer",
                name="show_trajectories_node",
            ),
        ]
    )
