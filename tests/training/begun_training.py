"""A training as a program, for the tests that interrupt it: python begun_training.py ROOT TURNS REFERENCE SETTINGS."""

import json
import logging
import sys
from pathlib import Path

import torch

from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, TrainingParameters, WeightingParameters
from drift.shards import Shards
from drift.training.policy import train_policy


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    root, turns, reference = (Path(argument) for argument in sys.argv[1:4])
    training = TrainingParameters.model_validate(json.loads(sys.argv[4]))
    policy = ModelDirectory(reference, {"path": "tiny", "fingerprint": "tiny"})
    model = ModelParameters(path="tiny", dtype="float32")
    try:
        checkpoint, log = train_policy(
            Shards.open(turns), policy, model, training, WeightingParameters(prune_below=0.05), 0, root
        )
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None
    print(json.dumps({"checkpoint": str(checkpoint.path), "log": log}))


if __name__ == "__main__":
    main()
