"""From weighted turns to a checkpoint that says what it was trained from."""

import gc
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from drift import __version__
from drift.errors import UserError
from drift.fingerprint import files_fingerprint
from drift.machine import machine, machine_sentence
from drift.model_directory import ModelDirectory, model_files
from drift.parameters import ModelParameters, TrainingParameters, WeightingParameters
from drift.shards import Shards, replace_durably
from drift.training.examples import read_examples
from drift.training.loop import train
from drift.training.model import load_policy, save_policy
from drift.training.model_card import license_of, model_card, training_data

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def train_policy(
    weighted_turns: Shards,
    reference: ModelDirectory,
    model: ModelParameters,
    training: TrainingParameters,
    weighting: WeightingParameters,
    seed: int,
    working_directory: Path,
) -> tuple[ModelDirectory, list[dict[str, float]]]:
    """Fine-tunes the reference policy on weighted turns.

    Args:
        weighted_turns: the data.
        reference: the policy it was sampled from.
        model: number format of the checkpoint.
        training: the settings.
        weighting: for `prune_below`.
        seed: of the order of the data.
        working_directory: where the checkpoint is put together.

    Returns:
        The checkpoint, and the rows of `training_log`.

    Raises:
        UserError: when there is nothing to train on, the data comes from another policy, or training diverges.
    """
    import torch

    refuse_other_policy(weighted_turns, reference)
    examples = read_examples(weighted_turns)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    policy = load_policy(reference.path, device, model.trust_remote_code, reference.adapter)
    log = train(policy, examples, training, weighting.prune_below, model.dtype, seed)
    checkpoint = _save(policy, reference.path, working_directory)
    del policy
    gc.collect()
    torch.cuda.empty_cache()  # evaluation starts an engine on the same GPU; without a GPU this does nothing
    provenance: dict[str, Any] = {
        "fingerprint": checkpoint.name,
        "reference_model": reference.provenance,
        "weighted_turns": {"path": str(weighted_turns.path), **weighted_turns.provenance},
        "training": training.model_dump(mode="json"),
        "prune_below": weighting.prune_below,
        "seed": seed,
        "packages": {"drift": __version__} | {name: version(name) for name in ("torch", "transformers")},
    }
    hardware, licence = machine_sentence(machine()), license_of(reference.path)
    return ModelDirectory(
        checkpoint, provenance, model_card(provenance, log, training_data(weighted_turns), hardware, licence)
    ), log


def refuse_other_policy(weighted_turns: Shards, reference: ModelDirectory) -> None:
    """Refuses to train a policy on what another one said: its weights would mean nothing.

    Raises:
        UserError: when the data was sampled from another model.
    """
    sampled_from = weighted_turns.provenance["trajectories"]["model"]
    if sampled_from != reference.fingerprint:
        raise UserError(
            f"`weighted_turns` was sampled from another model ({sampled_from}) than `reference_model` is now "
            f"({reference.provenance['path']}, {reference.fingerprint}): set model.path to the model that was sampled "
            "and run prepare_reference_model_node, or sample again."
        )


def _save(policy: "PreTrainedModel", reference: Path, working_directory: Path) -> Path:
    """Puts the checkpoint together in a directory named by its content."""
    working_directory.mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=".partial-", dir=working_directory))
    save_policy(policy, reference, partial)
    target = working_directory / files_fingerprint(model_files(partial))
    if target.exists():
        shutil.rmtree(partial)
    else:
        replace_durably(partial, target)
    return target
