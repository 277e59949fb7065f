"""plan_run, a dry run: no part of the default."""

from kedro.pipeline import Pipeline, node, pipeline

from drift.pipelines.plan.nodes import plan_run


def create_pipeline() -> Pipeline:
    """What a run would take."""
    return pipeline(
        [
            node(
                plan_run,
                inputs=[
                    "params:seed",
                    "params:model",
                    "params:problems",
                    "params:protocol",
                    "params:rollout",
                    "params:weighting",
                    "params:training",
                    "params:evaluation",
                    "params:study",
                    "params:refresh",
                    "params:plan",
                    "params:working_directory",
                ],
                outputs="plan",
                name="plan_run_node",
            ),
        ]
    )
