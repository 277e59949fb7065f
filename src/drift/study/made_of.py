"""What the variants of a study were made of and what they took: means over seeds."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from drift.study.cell import CellCosts, CellResult
from drift.study.student_t import half_width
from drift.weighting.composition import Composition

COSTS = (
    "sampling_seconds",
    "engine_start_seconds",
    "training_seconds",
    "evaluation_seconds",
    "response_tokens",
    "tokens_trained",
)


def composition_over_seeds(cells: Sequence[CellResult]) -> dict[str, Any]:
    """Each count of the composition over seeds; None where one seed does not have it."""
    return {
        name: mean_over_seeds([cell["composition"].get(name) for cell in cells])
        for name in Composition.__dataclass_fields__
    }


def costs_over_seeds(cells: Sequence[CellResult]) -> dict[str, Any]:
    """Each cost over seeds, and for k = 1…K what sampling no more than k turns would have taken, as it is reckoned."""
    costs = [cell["costs"] for cell in cells]
    within = [sampling_seconds_within(cost) for cost in costs]
    num_turns = min(map(len, within))
    return {
        **{name: mean_over_seeds([cost[name] for cost in costs]) for name in COSTS},
        "sampling_seconds_within": [
            mean_over_seeds([seconds[turn] for seconds in within]) for turn in range(num_turns)
        ],
    }


def sampling_seconds_within(costs: CellCosts) -> list[float | None]:
    """Seconds of sampling no more than k turns, k = 1…K, reckoned by `seconds_of_part`."""
    seconds, tokens_by_turn = costs["sampling_seconds"], costs["response_tokens_by_turn"]
    all_tokens = sum(tokens_by_turn)
    return [
        None
        if seconds is None
        else seconds_of_part(seconds, costs["engine_start_seconds"], tokens / all_tokens if all_tokens else 1.0)
        for tokens in accumulate(tokens_by_turn)
    ]


def seconds_of_part(seconds: float, start: float, share: float) -> float:
    """Seconds of sampling a share of a rollout, reckoned: the engine starts once, the rest goes by the share.

    Args:
        seconds: of the whole rollout, the start included.
        start: of the engine.
        share: of the tokens, or of the trajectories.
    """
    return start + share * (seconds - start)


def mean_over_seeds(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean over seeds with Student's interval (None with one seed); None where a seed has no value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    mean, half = float(np.mean(known)), float(half_width(np.array(known, dtype=float)[:, None])[0])
    ends = [max(0.0, mean - half), mean + half] if len(known) > 1 else None
    return {"value": mean, "ci95": ends, "by_seed": [float(value) for value in known]}
