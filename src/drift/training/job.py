"""A training job: all a process needs to know, as a file that worker processes read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, TrainingParameters
from drift.shards import Shards, replace_durably

NOT_DECISIVE: dict[str, Any] = {
    "activation_checkpointing": True,
    "compile": True,
    "rendezvous": True,
    "checkpoint_every": True,
    "held_out": {"every": True},
    "mlflow": True,
}
"""Settings that change speed, memory and records, but not the result (to rounding)."""
_DECIDES_NOISE = dict.fromkeys(("micro_batch_tokens", "processes", "hosts"), True)
"""How a batch is cut: it decides the result only where dropout draws noise for each piece."""


@dataclass(frozen=True)
class TrainingJob:
    """What is trained, from what, and how.

    Attributes:
        weighted_turns: directory of the data.
        reference: directory of the policy to start from.
        reference_provenance: where that came from.
        model: number format of the checkpoint, and loading options.
        training: the settings.
        prune_below: examples of a smaller weight are not computed.
        seed: of the order of the data, of held-out problems and of dropout.
    """

    weighted_turns: Path
    reference: Path
    reference_provenance: dict[str, Any]
    model: ModelParameters
    training: TrainingParameters
    prune_below: float
    seed: int

    @property
    def policy(self) -> ModelDirectory:
        """The policy to start from."""
        return ModelDirectory(self.reference, self.reference_provenance)

    def data(self) -> Shards:
        """The data."""
        return Shards.open(self.weighted_turns)

    def facts(self, examples: str) -> dict[str, Any]:
        """What decides the result.

        Args:
            examples: fingerprint of the data.
        """
        noisy = self.training.lora is not None and self.training.lora.dropout > 0
        left_out = NOT_DECISIVE if noisy else NOT_DECISIVE | _DECIDES_NOISE
        training = json.loads(self.training.model_dump_json(exclude=left_out))
        return {
            "model": self.policy.fingerprint,
            "examples": examples,
            "dtype": self.model.dtype,
            "training": training,
            "prune_below": self.prune_below,
            "seed": self.seed,
        }

    def save(self, path: Path) -> None:
        """Writes the job, whole or not at all."""
        partial = path.with_name(f".{path.name}.partial")
        content = {
            "weighted_turns": str(self.weighted_turns),
            "reference": str(self.reference),
            "reference_provenance": self.reference_provenance,
            "model": json.loads(self.model.model_dump_json()),
            "training": json.loads(self.training.model_dump_json()),
            "prune_below": self.prune_below,
            "seed": self.seed,
        }
        partial.write_text(json.dumps(content, indent=2) + "\n")
        replace_durably(partial, path)

    @classmethod
    def load(cls, path: Path) -> "TrainingJob":
        """Reads a job."""
        content = json.loads(path.read_text())
        return cls(
            weighted_turns=Path(content["weighted_turns"]),
            reference=Path(content["reference"]),
            reference_provenance=content["reference_provenance"],
            model=ModelParameters.model_validate(content["model"]),
            training=TrainingParameters.model_validate(content["training"]),
            prune_below=content["prune_below"],
            seed=content["seed"],
        )
