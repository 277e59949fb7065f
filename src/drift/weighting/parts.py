"""A part of a rollout: what a smaller one would have held, so that N and the budget K are swept without sampling.

The trajectories of a problem are drawn independently and numbered, and a conversation does not know its budget: the
first n trajectories, cut to K turns, are distributed as those of a rollout with rollout.n = n and protocol.max_turns
= K.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from drift.errors import UserError
from drift.parameters import WeightingParameters


def part_of_rollout(trajectories: pa.Table, weighting: WeightingParameters) -> pa.Table:
    """The rows of one shard that are used, cut to the budget; the very table where all of it is used.

    Args:
        trajectories: some columns of `TRAJECTORY_SCHEMA`, and of `turns` some parts: `trajectory_id` where n is set;
            where max_turns is set, `num_turns` beside `success`, and the ends of the turns beside `token_ids`.
        weighting: n and max_turns.
    """
    if weighting.n is not None:
        trajectories = trajectories.filter(pc.field("trajectory_id") < weighting.n)
    if weighting.max_turns is not None:
        trajectories = cut_to_budget(trajectories, weighting.max_turns)
    return trajectories


def cut_to_budget(trajectories: pa.Table, max_turns: int) -> pa.Table:
    """The trajectories as a budget of K turns would have ended them.

    Args:
        trajectories: see `part_of_rollout`.
        max_turns: K; of a trajectory with more turns the last one that is left was wrong, or it would have ended there.
    """
    turns = pl.col("turns").list.head(max_turns)
    num_tokens = turns.list.last().struct.field("end")
    cut = {
        "token_ids": pl.col("token_ids").list.head(num_tokens),
        "turns": turns,
        "success": pl.col("success") & (pl.col("num_turns") <= max_turns),
        "num_turns": pl.min_horizontal("num_turns", max_turns),
    }
    columns = {name: column for name, column in cut.items() if name in trajectories.column_names}
    return pl.DataFrame(trajectories).with_columns(**columns).to_arrow().cast(trajectories.schema)


def facts_of_part(rollout: Mapping[str, Any], weighting: WeightingParameters) -> dict[str, Any]:
    """What the provenance of a rollout says of its part: N and the budget are those of the smaller rollout."""
    n = {} if weighting.n is None else {"n": weighting.n}
    budget = {} if weighting.max_turns is None else {"max_turns": weighting.max_turns}
    return {**rollout, **n, **({"protocol": {**rollout["protocol"], **budget}} if budget else {})}


def limits_of_part(weighting: WeightingParameters) -> dict[str, int]:
    """n and max_turns, where they are set: what the returns of a part are known by."""
    limits = {"n": weighting.n, "max_turns": weighting.max_turns}
    return {name: limit for name, limit in limits.items() if limit is not None}


def refuse_returns_of_other_part(shaped_returns: Mapping[str, Any], weighting: WeightingParameters) -> None:
    """Refuses returns of another part of the trajectories than is to be weighed.

    Args:
        shaped_returns: their provenance.
        weighting: n and max_turns.

    Raises:
        UserError: when they were computed with another n or max_turns.
    """
    asked = limits_of_part(weighting)
    for name in ("n", "max_turns"):
        if shaped_returns.get(name) != asked.get(name):
            raise UserError(
                f"`shaped_returns` was computed with weighting.{name} {_in_words(shaped_returns.get(name))}, not "
                f"{_in_words(asked.get(name))}: run the whole weighting pipeline, or name versions that belong "
                "together with --load-versions."
            )


def _in_words(limit: int | None) -> str:
    return "null" if limit is None else str(limit)


def refuse_larger_parts(rollout: Mapping[str, Any], weighting: WeightingParameters) -> None:
    """Refuses a part that is larger than the whole.

    Args:
        rollout: provenance of the trajectories, see `Rollout.facts`.
        weighting: n, max_turns and solved_at.

    Raises:
        UserError: when more trajectories or turns are asked for than were sampled.
    """
    if weighting.n is not None and weighting.n > rollout["n"]:
        raise UserError(
            f"weighting.n: {weighting.n} trajectories of each problem are asked for, and {rollout['n']} were sampled: "
            "lower it, or sample again with a larger rollout.n."
        )
    if weighting.max_turns is not None and weighting.max_turns > rollout["protocol"]["max_turns"]:
        raise UserError(
            f"weighting.max_turns: {weighting.max_turns} turns are asked for, and the trajectories were sampled with "
            f"at most {rollout['protocol']['max_turns']}: lower it, or sample again with a larger protocol.max_turns."
        )
    if weighting.solved_at is not None:
        budget = weighting.max_turns or rollout["protocol"]["max_turns"]
        if beyond := [turn for turn in weighting.solved_at if turn > budget]:
            raise UserError(
                f"weighting.solved_at: turn {beyond[0]} is asked for, and the trajectories that are used have at most "
                f"{budget}: leave it out, or raise weighting.max_turns or protocol.max_turns."
            )
