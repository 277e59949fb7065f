"""The four pipelines, their sum, the dry run, and those that are made from the parameters."""

from kedro.pipeline import Pipeline

from drift.pipelines.evaluation.pipeline import create_pipeline as evaluation
from drift.pipelines.from_parameters import NAMES as MADE_FROM_PARAMETERS
from drift.pipelines.plan.pipeline import create_pipeline as plan
from drift.pipelines.rollout.pipeline import create_pipeline as rollout
from drift.pipelines.training.pipeline import create_pipeline as training
from drift.pipelines.weighting.pipeline import create_pipeline as weighting


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines by name; `kedro run` runs the first four.

    Those of `drift.pipelines.from_parameters` have nodes once there are parameters.
    """
    pipelines = {
        "rollout": rollout(),
        "weighting": weighting(),
        "training": training(),
        "evaluation": evaluation(),
    }
    made_later = {name: Pipeline([]) for name in MADE_FROM_PARAMETERS}
    whole = sum(pipelines.values(), start=Pipeline([]))
    return {**pipelines, "plan": plan(), **made_later, "__default__": whole}
