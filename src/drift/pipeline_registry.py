"""The four pipelines, their sum, and those that are planned from the parameters."""

from kedro.pipeline import Pipeline

from drift.pipelines.evaluation.pipeline import create_pipeline as evaluation
from drift.pipelines.rollout.pipeline import create_pipeline as rollout
from drift.pipelines.training.pipeline import create_pipeline as training
from drift.pipelines.weighting.pipeline import create_pipeline as weighting


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines by name; `kedro run` runs the first four.

    `study` and `refresh` have nodes once there are parameters (`drift.pipelines.planning`).
    """
    pipelines = {
        "rollout": rollout(),
        "weighting": weighting(),
        "training": training(),
        "evaluation": evaluation(),
    }
    planned = {"study": Pipeline([]), "refresh": Pipeline([])}
    return {**pipelines, "__default__": sum(pipelines.values(), start=Pipeline([])), **planned}
