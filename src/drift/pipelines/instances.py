"""Stages of the pipeline as they are used more than once: in a namespace of their own, with some things shared."""

from collections.abc import Mapping

from kedro.pipeline import Pipeline, pipeline

REFERENCE = "reference_model"
SHARED = {
    name: name
    for name in (
        REFERENCE,
        "params:model",
        "params:problems",
        "params:protocol",
        "params:rollout",
        "params:evaluation",
        "params:working_directory",
    )
}
"""What all instances have in common, unless they are told otherwise."""


def instance_of(stages: Pipeline, namespace: str, names: Mapping[str, str]) -> Pipeline:
    """The stages in a namespace.

    Args:
        stages: some of the project's nodes.
        namespace: what comes before the names of its nodes, its datasets and its parameters.
        names: for datasets and parameters that lie outside the namespace, their names there; `SHARED` ones need not be
            listed, and those the stages do not use are passed over.
    """
    outside = {**SHARED, **names}
    used = {name: outside[name] for name in stages.datasets() if name in outside}
    parameters = {name: target for name, target in used.items() if name.startswith("params:")}
    inputs = {name: target for name, target in used.items() if name in stages.inputs() and name not in parameters}
    outputs = {name: target for name, target in used.items() if name in stages.all_outputs()}
    return pipeline(stages, namespace=namespace, inputs=inputs, outputs=outputs, parameters=parameters)
