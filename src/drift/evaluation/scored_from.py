"""What scores were computed from, written into them, so that they are never shown beside other data or policies."""

from collections.abc import Mapping
from typing import Any

from drift.errors import UserError
from drift.evaluation.made_from import version_of
from drift.evaluation.outcomes import TRAINED
from drift.model_directory import ModelDirectory
from drift.shards import Shards

KEY = "made_from"


def scored_from(eval_trajectories: Shards, eval_attempts: Shards) -> dict[str, Any]:
    """Versions of the conversations and the attempts, and the fingerprint of every policy that held them."""
    return {
        "eval_trajectories": version_of(eval_trajectories.path),
        "eval_attempts": version_of(eval_attempts.path),
        "policies": {name: facts.get("model") for name, facts in eval_trajectories.provenance.items()},
    }


def refuse_other_conversations(scores: Mapping[str, Any], eval_trajectories: Shards, eval_attempts: Shards) -> None:
    """Refuses scores that were computed from other conversations or attempts.

    Raises:
        UserError: naming both versions.
    """
    before, now = scores.get(KEY, {}), scored_from(eval_trajectories, eval_attempts)
    for name, version in now.items():
        if before.get(name) != version:
            raise UserError(
                f"`multi_at_k` was computed from other conversations ({name} {before.get(name)}) than are loaded now "
                f"({version}): run the evaluation again from score_node on, or name versions that belong together "
                "with --load-versions."
            )


def refuse_other_checkpoint(scores: Mapping[str, Any], checkpoint: ModelDirectory) -> None:
    """Refuses scores of another policy than the checkpoint.

    Raises:
        UserError: naming both fingerprints.
    """
    scored = scores.get(KEY, {}).get("policies", {}).get(TRAINED)
    if scored != checkpoint.fingerprint:
        raise UserError(
            f"`multi_at_k` has the scores of another policy ({scored}) than `checkpoint` is now "
            f"({checkpoint.fingerprint}): run the whole evaluation again, or name versions that belong together with "
            "--load-versions."
        )
