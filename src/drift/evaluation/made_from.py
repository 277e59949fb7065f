"""What a result was made from: data versions, policies, seeds, code, machine, packages, and what it cost."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from drift.machine.machine import machine
from drift.model_directory import ModelDirectory
from drift.runs.code import code_version, package_versions
from drift.shards import MANIFEST, Shards
from drift.training.step_log import log_fingerprint

if TYPE_CHECKING:
    import pandas as pd


class Cost(NamedTuple):
    """What one stage took.

    Attributes:
        stage: its name.
        seconds: of wall clock, starting the engine included; None where it was not counted.
        tokens: sampled or trained on; None where they were not counted.
        of: what the tokens are.
    """

    stage: str
    seconds: float | None
    tokens: float | None
    of: str


def origins(eval_trajectories: Shards, eval_attempts: Shards, checkpoint: ModelDirectory) -> dict[str, Any]:
    """Versions of the data, fingerprints of the policies, seeds; code, machine and packages of this process."""
    data, packages = checkpoint.provenance.get("weighted_turns", {}), package_versions()
    sampled = data.get("trajectories", {})
    policies = {name: facts.get("model") for name, facts in eval_trajectories.provenance.items() if "model" in facts}
    return {
        "data": {
            "eval_trajectories": version_of(eval_trajectories.path),
            "eval_attempts": version_of(eval_attempts.path),
            "checkpoint": version_of(checkpoint.path),
            "weighted_turns": version_of(data.get("path")),
            "trajectories": version_of(sampled.get("path")),
        },
        "policies": policies,
        "reference_model": checkpoint.provenance.get("reference_model", {}).get("path"),
        "seeds": {
            "sampling": sampled.get("seed"),
            "training": checkpoint.provenance.get("seed"),
            **{f"attempts of {name}": facts.get("seed") for name, facts in eval_attempts.provenance.items()},
        },
        "code": code_version(),
        "machine": machine(),
        "packages": packages,
        "other_packages_of_training": {
            name: version
            for name, version in checkpoint.provenance.get("packages", {}).items()
            if packages.get(name) != version
        },
    }


def version_of(path: Path | str | None) -> str | None:
    """The version a versioned dataset lies in; its name where it is not versioned."""
    if path is None:
        return None
    directory = Path(path)
    return directory.parent.name if directory.parent.parent.name == directory.name else directory.name


def costs(
    eval_trajectories: Shards, eval_attempts: Shards, checkpoint: ModelDirectory, training_log: "pd.DataFrame"
) -> list[Cost]:
    """What sampling, training and evaluation took."""
    nothing_sampled = "solutions" in checkpoint.provenance.get("weighted_turns", {})
    return [
        *([] if nothing_sampled else [_cost("sampling", sampling_costs(checkpoint))]),
        _training_cost(training_log, checkpoint),
        *(_cost(f"evaluating {name}", of_policy) for name, of_policy in _by_policy(eval_trajectories)),
        *(_cost(f"attempts of {name}", of_policy) for name, of_policy in _by_policy(eval_attempts)),
    ]


def sampling_costs(checkpoint: ModelDirectory) -> Mapping[str, float]:
    """Costs of the trajectories the policy was trained from; none where they are no longer there.

    The checkpoint says which they are: the latest ones of the catalog may be others.
    """
    path = checkpoint.provenance.get("weighted_turns", {}).get("trajectories", {}).get("path")
    return Shards.open(Path(path)).costs if path and (Path(path) / MANIFEST).is_file() else {}


def _by_policy(shards: Shards) -> Iterator[tuple[str, Mapping[str, float]]]:
    for name in shards.provenance:
        of_policy = shards.costs.get(name, {})
        yield name, of_policy if isinstance(of_policy, Mapping) else {}


def _cost(stage: str, counted: Mapping[str, float]) -> Cost:
    seconds = [counted[name] for name in ("engine_start_seconds", "sampling_seconds") if name in counted]
    return Cost(stage, sum(seconds) if seconds else None, counted.get("response_tokens"), "sampled")


def _training_cost(training_log: "pd.DataFrame", checkpoint: ModelDirectory) -> Cost:
    if not is_log_of(checkpoint, training_log):
        return Cost("training", None, None, "trained on")
    seconds, tokens = float(training_log["seconds"].sum()), float(training_log["num_tokens"].sum())
    return Cost("training", seconds, tokens, "trained on")


def is_log_of(checkpoint: ModelDirectory, training_log: "pd.DataFrame") -> bool:
    """Whether the log is of the training that made the checkpoint, which knows it by its fingerprint."""
    rows = training_log.to_dict("records")
    return log_fingerprint(rows) == checkpoint.provenance.get("training_log")
