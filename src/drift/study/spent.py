"""What each variant took, with its own share of the rollout that all of them use (Figure 6, Table 8)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from drift.study.made_of import mean_over_seeds, seconds_of_part
from drift.study.places import name_of, share_of_trajectories, trajectories_kept, turns_kept

Seconds = Mapping[str, Any] | None
"""Mean over seeds with its interval; None where it was not counted."""


class Spent(NamedTuple):
    """The cost of one variant and seed.

    Attributes:
        policy: the variant.
        name: as it is written.
        num_turns: turns of the rollout that it uses.
        num_trajectories: of each problem that it uses; None where it uses no rollout.
        is_reckoned: whether its sampling is a share of a longer rollout's.
        sampling: seconds.
        training: seconds.
        total: both.
        evaluation: seconds.
        tokens_sampled: of the whole rollout.
        tokens_trained: tokens.
    """

    policy: str
    name: str
    num_turns: int
    num_trajectories: int | None
    is_reckoned: bool
    sampling: Seconds
    training: Seconds
    total: Seconds
    evaluation: Seconds
    tokens_sampled: Seconds
    tokens_trained: Seconds


def spent(results: Mapping[str, Any]) -> list[Spent]:
    """The cost of every variant."""
    return [
        spent_by(results, policy, entry) for policy, entry in results["policies"].items() if entry["costs"] is not None
    ]


def spent_by(results: Mapping[str, Any], policy: str, entry: Mapping[str, Any]) -> Spent:
    """The cost of one variant."""
    costs, num_turns = entry["costs"], turns_kept(entry, results["max_turns"])
    within, share = costs["sampling_seconds_within"], share_of_trajectories(entry)
    is_reckoned = num_turns < len(within) or share < 1
    sampling = within[num_turns - 1] if num_turns < len(within) else costs["sampling_seconds"]
    if sampling is not None and share < 1:
        pairs = zip(sampling["by_seed"], costs["engine_start_seconds"]["by_seed"], strict=True)
        sampling = mean_over_seeds([seconds_of_part(seconds, start, share) for seconds, start in pairs])
    training = costs["training_seconds"]
    total = None
    if sampling is not None and training is not None:
        pairs = zip(sampling["by_seed"], training["by_seed"], strict=True)
        total = mean_over_seeds([one + other for one, other in pairs])
    return Spent(
        policy,
        name_of(results, policy),
        num_turns,
        trajectories_kept(entry),
        is_reckoned and sampling is not None,
        sampling,
        training,
        total,
        costs["evaluation_seconds"],
        costs["response_tokens"],
        costs["tokens_trained"],
    )
