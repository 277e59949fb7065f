"""The policies that are evaluated: the reference, the trained one, and those the user names."""

from collections.abc import Mapping
from pathlib import Path

from drift.errors import UserError
from drift.evaluation.outcomes import NOT_A_POLICY, REFERENCE, TRAINED
from drift.fingerprint import files_fingerprint
from drift.model_directory import NOTE, ModelDirectory, check_model_directory

_CHECKPOINT = "checkpoint"


def named_policies(policies: Mapping[str, str]) -> dict[str, ModelDirectory]:
    """The policies of `evaluation.policies`, checked before anything is spent on them.

    Args:
        policies: name → directory: a Hugging Face model, or a version of the catalog's `checkpoint`.

    Returns:
        name → model directory. A checkpoint is known by the fingerprint in its note, so one that was evaluated before,
        under whatever name, is not asked again.

    Raises:
        UserError: when a name is taken, or a directory holds no model.
    """
    taken = {REFERENCE, TRAINED, *NOT_A_POLICY} & set(policies)
    if taken:
        raise UserError(
            f"evaluation.policies: {' and '.join(map(repr, sorted(taken)))} cannot be the name of a further policy, "
            "the results use it themselves: choose another."
        )
    return {name: _policy(name, Path(path).expanduser().absolute()) for name, path in policies.items()}


def _policy(name: str, directory: Path) -> ModelDirectory:
    if not directory.is_dir():
        raise UserError(
            f"evaluation.policies.{name}: there is no directory {directory}: name a Hugging Face model directory or a "
            "version of the checkpoint (one of: ls data/06_models/checkpoint)."
        )
    if (directory / _CHECKPOINT).is_dir():
        directory = directory / _CHECKPOINT
    try:
        check_model_directory(directory)
    except UserError as error:
        raise UserError(str(error).replace("model.path:", f"evaluation.policies.{name}:", 1)) from error
    if (directory / NOTE).is_file():
        return ModelDirectory.open(directory)
    policy = ModelDirectory(directory, {"path": str(directory)})
    return ModelDirectory(directory, {**policy.provenance, "fingerprint": files_fingerprint(policy.files())})
