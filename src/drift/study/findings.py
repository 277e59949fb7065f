"""What a study found, in plain sentences made from its numbers: which differences are beyond the noise."""

from collections.abc import Mapping, Sequence
from typing import Any

from drift.evaluation.numbers_in_words import points_text
from drift.study.places import (
    Place,
    compared_with,
    difference_at,
    headline_place,
    missing_seeds,
    name_of,
    num_rounds,
    places,
    plain_policies,
)

KINDS = {
    "above": "above {before} beyond {noise}",
    "below": "below {before} beyond {noise}",
    "alike": "not told apart from {before}",
}
"""What is said of a difference whose interval is above, below, or around zero."""


def findings(results: Mapping[str, Any]) -> list[str]:
    """What is above and below the baseline and the reference: multi@K on all places, and more on the main one."""
    main = headline_place(results)
    compared = compared_metrics(results)
    last = f"multi@{results['max_turns']}"
    sentences = [
        sentence_on(results, before, place, name)
        for before in compared_with(results)
        for place in [main, *(place for place in places(results) if place != main)]
        for name in (compared if place == main else [last])
    ]
    return [sentence for sentence in sentences if sentence is not None]


def compared_metrics(results: Mapping[str, Any]) -> dict[str, tuple[str, int | None]]:
    """The metrics that sentences are about: their keys, and the turn of those that have several."""
    return {
        "multi@1": ("multi_at_k", 0),
        f"multi@{results['max_turns']}": ("multi_at_k", -1),
        "correction rate": ("correction_rate_overall", None),
    }


def sentence_on(results: Mapping[str, Any], before: str, place: Place, name: str) -> str | None:
    """Which policies have more of a metric than another one, which less, and of which it cannot be told."""
    metric, index = compared_metrics(results)[name]
    groups: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for policy in plain_policies(results):
        entry = difference_at(results, before, policy, place)
        if entry is not None:
            value, ends = entry[metric]["value"], entry[metric]["ci95"]
            value, ends = (value, ends) if index is None else (value[index], ends[index])
            if value is not None:
                groups[kind_of(ends)].append(f"{name_of(results, policy)} {points_text(value, ends)}")
    noise = "the noise" if results["seeds"][1:] else "the noise of the problems"
    texts = [
        f"{KINDS[kind].format(before=before, noise=noise)}: {', '.join(found)}"
        for kind, found in groups.items()
        if found
    ]
    return f"{name} on {place.label}, in points: {'; '.join(texts)}." if texts else None


def kind_of(ends: Sequence[float]) -> str:
    """Where an interval lies: above zero, below it, or around it."""
    low, high = ends
    return "above" if low > 0 else "below" if high < 0 else "alike"


def cautions(results: Mapping[str, Any]) -> list[str]:
    """What has to be known to read the numbers: seeds, missing ones, and how many comparisons there are."""
    num_seeds = len(results["seeds"])
    sentences = [
        f"{num_seeds} seeds; [95 % intervals] over problems and seeds."
        if num_seeds > 1
        else "One seed: [95 % intervals] are over problems alone, and say nothing about another training."
    ]
    missing = [
        f"{name_of(results, policy)}{text}"
        for policy in results["policies"]
        if (text := missing_seeds(results, policy))
    ]
    if missing:
        sentences.append(f"Not all seeds are there for: {', '.join(missing)}; differences are over common seeds.")
    sentences += [
        f"{name_of(results, policy)} had nothing to train on with {number} of {len(entry['seeds'])} seeds: there it is "
        + ("the policy of the round before." if num_rounds(results, policy) > 1 else "the reference.")
        for policy, entry in results["policies"].items()
        if entry["composition"] and (number := seeds_without_examples(entry["composition"]))
    ]
    num_compared = sum(
        difference_at(results, before, policy, place) is not None
        for before in compared_with(results)
        for policy in plain_policies(results)
        for place in places(results)
    )
    if num_compared > 1:
        sentences.append(
            f"Differences are paired by problem and seed, and not corrected for their number: of {num_compared} "
            f"differences of multi@{results['max_turns']}, about one in twenty would exclude zero if all policies were "
            "the same."
        )
    return sentences


def seeds_without_examples(composition: Mapping[str, Any]) -> int:
    """How many seeds of a variant had nothing to train on."""
    return 0 if composition["num_examples"] is None else composition["num_examples"]["by_seed"].count(0)
