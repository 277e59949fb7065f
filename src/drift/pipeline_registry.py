"""The four pipelines, their sum, and the dry run."""

from kedro.pipeline import Pipeline

from drift.pipelines.evaluation.pipeline import create_pipeline as evaluation
from drift.pipelines.plan.pipeline import create_pipeline as plan
from drift.pipelines.rollout.pipeline import create_pipeline as rollout
from drift.pipelines.training.pipeline import create_pipeline as training
from drift.pipelines.weighting.pipeline import create_pipeline as weighting


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines by name; `kedro run` runs the four that make the job."""
    pipelines = {
        "rollout": rollout(),
        "weighting": weighting(),
        "training": training(),
        "evaluation": evaluation(),
    }
    return {**pipelines, "plan": plan(), "__default__": sum(pipelines.values(), start=Pipeline([]))}
