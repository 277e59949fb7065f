"""A policy that nothing was trained on: the reference, with a note that says so."""

import json

from drift.model_directory import ModelDirectory
from drift.parameters import TrainingParameters, WeightingParameters
from drift.runs.code import package_versions
from drift.shards import Shards
from drift.training.policy import refuse_other_policy
from drift.training.step_log import log_fingerprint


def kept_policy(
    weighted_turns: Shards,
    reference: ModelDirectory,
    training: TrainingParameters,
    weighting: WeightingParameters,
    seed: int,
) -> ModelDirectory:
    """The checkpoint of a training without examples: the reference's own files, and the provenance of a training.

    Args:
        weighted_turns: the data, which holds no example.
        reference: the policy it was sampled from.
        training: what would have been done.
        weighting: for `prune_below`.
        seed: of the run.

    Raises:
        UserError: when the data comes from another policy.
    """
    refuse_other_policy(weighted_turns, reference)
    provenance = {
        **{name: value for name, value in reference.provenance.items() if name == "adapter"},
        "fingerprint": reference.fingerprint,
        "reference_model": reference.provenance,
        "weighted_turns": {"path": str(weighted_turns.path), **weighted_turns.provenance},
        "training": json.loads(training.model_dump_json(exclude={"mlflow"})),
        "training_log": log_fingerprint([]),
        "prune_below": weighting.prune_below,
        "seed": seed,
        "packages": package_versions(),
    }
    return ModelDirectory(reference.path, provenance)
