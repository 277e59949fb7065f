"""Where policies are compared: on a benchmark or on an average of several; and what they are called there."""

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from drift.evaluation.outcomes import REFERENCE
from drift.evaluation.overview import AVERAGE_NAMES

PARAMETERS = {"gamma": "γ", "beta": "β", "penalty": "penalty", "n": "N", "max_turns": "turns"}
"""Swept parameters as they are written."""


class Place(NamedTuple):
    """A benchmark or an average.

    Attributes:
        kind: `benchmarks` or `averages`.
        key: its key there.
        label: its name.
        size: how many problems or benchmarks it is over, in words.
    """

    kind: str
    key: str
    label: str
    size: str


def places(results: Mapping[str, Any]) -> list[Place]:
    """The benchmarks, then the averages."""
    benchmarks = [
        Place("benchmarks", name, name, problems_text(entry["problems"].values()))
        for name, entry in results["benchmarks"].items()
    ]
    averages = [
        Place("averages", domain, AVERAGE_NAMES[domain], f"{len(names)} benchmarks")
        for domain, names in results["averages"].items()
    ]
    return benchmarks + averages


def problems_text(numbers: Collection[int]) -> str:
    """How many problems each seed asked, in words."""
    few, many = min(numbers), max(numbers)
    return f"{few:,} problem{'s' if few > 1 else ''}" if few == many else f"{few:,} to {many:,} problems"


def headline_place(results: Mapping[str, Any]) -> Place:
    """Where a chart of one place is drawn: where most policies are; of such places the average, else the first."""
    by_preference = sorted(places(results), key=lambda place: (place.key, place.kind) != ("all", "averages"))
    return max(
        by_preference, key=lambda place: sum(at(entry, place) is not None for entry in results["policies"].values())
    )


def at(entry: Mapping[str, Any], place: Place) -> dict[str, Any] | None:
    """The metrics of a policy, or of a difference, at a place; None where it has none."""
    return entry[place.kind][place.key]


def policies_at(results: Mapping[str, Any], place: Place) -> dict[str, dict[str, Any]]:
    """The policies of no sweep that are at a place, by name, the reference first."""
    found = {policy: at(results["policies"][policy], place) for policy in plain_policies(results)}
    return {policy: entry for policy, entry in found.items() if entry is not None}


def plain_policies(results: Mapping[str, Any]) -> list[str]:
    """The policies of no sweep, the reference first."""
    return [policy for policy, entry in results["policies"].items() if entry["swept"] is None]


def difference_at(results: Mapping[str, Any], before: str | None, policy: str, place: Place) -> dict[str, Any] | None:
    """One policy minus another at a place; None where there is no such difference."""
    entry = results["differences"].get(before, {}).get(policy)
    return None if entry is None else at(entry, place)


def name_of(results: Mapping[str, Any], policy: str) -> str:
    """A policy's name, or the value that a sweep has set."""
    swept = results["policies"][policy]["swept"]
    return (
        policy
        if swept is None
        else f"{PARAMETERS.get(swept['parameter'], swept['parameter'])} = {value_text(swept['value'])}"
    )


def label_of(results: Mapping[str, Any], policy: str) -> str:
    """A policy's name, and how many seeds it has where others have more."""
    return f"{name_of(results, policy)}{missing_seeds(results, policy)}"


def missing_seeds(results: Mapping[str, Any], policy: str) -> str:
    """How many seeds a policy has, where others have more."""
    num_seeds, all_seeds = len(results["policies"][policy]["seeds"]), len(results["seeds"])
    return f" ({num_seeds} of {all_seeds} seeds)" if num_seeds < all_seeds else ""


def value_text(value: float | str) -> str:
    """A swept value as it is written."""
    return "∞" if float(value) == math.inf else f"{value:g}"


def turns_kept(entry: Mapping[str, Any], max_turns: int) -> int:
    """The turns of the rollout that a policy was trained on."""
    kept = (entry["settings"] or {}).get("weighting", {}).get("max_turns")
    return max_turns if kept is None else int(kept)


def num_rounds(results: Mapping[str, Any], policy: str) -> int:
    """Rounds of sampling and training; 0 for the reference."""
    return int((results["policies"][policy]["settings"] or {"rounds": 0})["rounds"])


def trajectories_kept(entry: Mapping[str, Any]) -> int | None:
    """The trajectories of each problem that a policy was trained on; None where it was trained on none."""
    settings = entry["settings"] or {}
    sampled = settings.get("rollout", {}).get("n")
    if sampled is None or settings.get("data") == "solutions":
        return None
    kept = settings.get("weighting", {}).get("n")
    return int(sampled if kept is None else kept)


def share_of_trajectories(entry: Mapping[str, Any]) -> float:
    """The share of the rollout's trajectories that a policy was trained on; 1 where none were sampled for it."""
    kept = trajectories_kept(entry)
    return 1.0 if kept is None else kept / entry["settings"]["rollout"]["n"]


def compared_with(results: Mapping[str, Any]) -> list[str]:
    """What others are compared with: the baseline, where there is one, and the reference."""
    return [name for name in (results["baseline"], REFERENCE) if name is not None and name in results["differences"]]
