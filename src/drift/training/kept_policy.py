"""A policy that nothing was trained on: the reference, with a note that says so."""

import json

from drift.model_directory import ModelDirectory
from drift.parameters import TrainingParameters, WeightingParameters
from drift.shards import Shards
from drift.training.policy import refuse_other_policy, training_provenance


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
    content = {name: reference.provenance[name] for name in ("adapter", "fingerprint") if name in reference.provenance}
    settings = json.loads(training.model_dump_json(exclude={"mlflow"}))
    provenance = training_provenance(reference.provenance, weighted_turns, settings, [], weighting.prune_below, seed)
    return ModelDirectory(reference.path, content | provenance)
