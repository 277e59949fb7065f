"""From weighted turns to a checkpoint that says what it was trained from."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from drift.fingerprint import files_fingerprint
from drift.model_directory import ModelDirectory, model_files
from drift.parameters import ModelParameters, TrainingParameters, WeightingParameters
from drift.shards import Shards
from drift.training.examples import read_examples
from drift.training.loop import train
from drift.training.model import load_policy, save_policy


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
    """
    import torch

    examples = read_examples(weighted_turns)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    policy = load_policy(reference.path, device, model.trust_remote_code)
    log = train(policy, examples, training, weighting.prune_below, model.dtype, seed)
    target = working_directory / "checkpoint"
    shutil.rmtree(target, ignore_errors=True)
    save_policy(policy, reference.path, target)
    del policy
    torch.cuda.empty_cache()  # evaluation starts an engine on the same GPU; without a GPU this does nothing
    provenance: dict[str, Any] = {
        "fingerprint": files_fingerprint(model_files(target)),
        "reference_model": reference.provenance,
        "weighted_turns": {"path": str(weighted_turns.path), **weighted_turns.provenance},
        "training": training.model_dump(),
        "prune_below": weighting.prune_below,
        "seed": seed,
        "packages": {name: version(name) for name in ("torch", "transformers")},
    }
    return ModelDirectory(target, provenance), log
