"""Parameters whose `auto` formats are replaced by those that suit this machine and this model.

Stages are given what these functions return: facts, fingerprints and provenance name formats, never `auto`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drift.machine.number_formats import Shape, number_format
from drift.parameters import ModelParameters, TrainingParameters

_ASSUMED: list[Shape] = [(2048, 2048), (2048, 2048)]
"""Of a model whose configuration does not say its sizes."""


def with_sampling_format(model: ModelParameters, policy: Path, working_directory: Path) -> ModelParameters:
    """The model with the format it is sampled in.

    Args:
        model: as the parameters say.
        policy: its directory, whose configuration has the shapes.
        working_directory: where figures of earlier races are kept.
    """
    shapes = shapes_of_directory(policy)
    return model.model_copy(update={"dtype": number_format(model.dtype, "sampling", shapes, working_directory)})


def with_training_format(training: TrainingParameters, policy: Path, working_directory: Path) -> TrainingParameters:
    """The training with the format it computes in; see `with_sampling_format`."""
    shapes = shapes_of_directory(policy)
    return training.model_copy(
        update={"precision": number_format(training.precision, "training", shapes, working_directory)}
    )


def with_formats(parameters: Mapping[str, Any], working_directory: Path) -> dict[str, Any]:
    """All parameters with both formats, before the model is on this machine: for those who plan many runs.

    Raises:
        UserError: when there is no such model.
    """
    from drift.planning.model_shape import find_config

    model, training = (
        ModelParameters.model_validate(parameters["model"]),
        TrainingParameters.model_validate(parameters["training"]),
    )
    if "auto" not in (model.dtype, training.precision):
        return dict(parameters)
    shapes = shapes_of(find_config(model)[0].to_dict())
    dtype = number_format(model.dtype, "sampling", shapes, working_directory)
    precision = number_format(training.precision, "training", shapes, working_directory)
    return {
        **parameters,
        "model": model.model_copy(update={"dtype": dtype}),
        "training": training.model_copy(update={"precision": precision}),
    }


def shapes_of_directory(policy: Path) -> list[Shape]:
    """Of a Hugging Face directory."""
    return shapes_of(json.loads((policy / "config.json").read_text()))


def shapes_of(config: Mapping[str, Any]) -> list[Shape]:
    """Inputs and outputs of the matrices that most of the time is spent on."""
    text = config.get("text_config") or config
    hidden, inner = text.get("hidden_size"), text.get("intermediate_size")
    if not isinstance(hidden, int):
        return _ASSUMED
    inner = inner if isinstance(inner, int) else 4 * hidden
    return [(hidden, hidden), (hidden, inner), (inner, hidden)]
