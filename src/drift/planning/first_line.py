"""The first line of a run on a CPU: how long it will take. It must be cheap, and never ends a run."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from drift.errors import UserError
from drift.formats import shapes_of, shapes_of_directory
from drift.machine.number_formats import Shape, choice_for_cpu, gpu_capability, measured
from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RolloutParameters,
    TrainingParameters,
    WorkingDirectory,
)
from drift.planning.duration import duration_in_words, expected_duration
from drift.rollout.engine_choice import number_of_weights
from drift.rollout.reference import BUNDLED_PREFIX, local_directory

_BUNDLED_WEIGHTS = 134.5e6
_BUNDLED_SIZES = {"hidden_size": 576, "intermediate_size": 1536}
"""Of SmolLM2-135M, whose file need not be read to know them."""


def first_line(parameters: Mapping[str, Any], outputs: Collection[str], project: Path) -> str | None:
    """How long the run will take.

    Args:
        parameters: all of them, checked.
        outputs: what the pipelines make.
        project: its directory.

    Returns:
        A sentence; None on a GPU, for a study or a refresh, and where model or problems are not known beforehand.
    """
    problems = ProblemsParameters.model_validate(parameters["problems"])
    held_out = [source.limit for source in problems.evaluation_sources]
    limits = [problems.train.limit, *held_out]
    found = _weights_and_shapes(ModelParameters.model_validate(parameters["model"]))
    if found is None or None in limits or gpu_capability() is not None:
        return None
    memory = project / WorkingDirectory.model_validate(parameters["working_directory"]).root
    weights, shapes = found
    model = ModelParameters.model_validate(parameters["model"])
    training = TrainingParameters.model_validate(parameters["training"])
    sampling_choice = choice_for_cpu(model.dtype, "sampling", measured("sampling", shapes, memory))
    training_choice = choice_for_cpu(training.precision, "training", measured("training", shapes, memory))
    gflops = [choice.gflops.get(choice.format) for choice in (sampling_choice, training_choice)]
    if None in gflops:
        return None
    num_train = int(problems.train.limit or 0)
    duration = expected_duration(
        weights,
        sampling_choice.format,
        float(gflops[0] or 0),
        float(gflops[1] or 0),
        num_train,
        sum(int(limit or 0) for limit in held_out),
        ProtocolParameters.model_validate(parameters["protocol"]),
        RolloutParameters.model_validate(parameters["rollout"]),
        training,
        EvaluationParameters.model_validate(parameters["evaluation"]),
    )
    stages = {"sampling": "trajectories", "training": "checkpoint", "evaluation": "eval_trajectories"}
    left_out = {stage: 0.0 for stage, output in stages.items() if output not in outputs}
    return None if len(left_out) == len(stages) else duration_in_words(replace(duration, **left_out), num_train)


def _weights_and_shapes(model: ModelParameters) -> tuple[float, list[Shape]] | None:
    """Of a model that is on this machine."""
    if model.path.startswith(BUNDLED_PREFIX):
        return _BUNDLED_WEIGHTS, shapes_of(_BUNDLED_SIZES)
    try:
        directory = local_directory(model.path)
        weights = number_of_weights(directory) if directory else 0
        return (weights, shapes_of_directory(directory)) if directory and weights else None
    except (UserError, OSError, ValueError):
        return None  # what is wrong with the model is said where it is loaded
