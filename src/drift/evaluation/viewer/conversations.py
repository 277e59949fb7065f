"""The conversations of a page, gathered shard by shard; only those that are shown are kept in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from drift.errors import UserError
from drift.evaluation.outcomes import REFERENCE
from drift.evaluation.viewer.selection import ProblemSize, choose_problems
from drift.parameters import WeightingParameters
from drift.problems.problem import Problem
from drift.shards import Shards
from drift.weighting.parts import part_of_rollout
from drift.weighting.returns import shape_returns

Example = Literal["kept", "pruned", "dropped"]
_SIZE_INPUTS = ["problem_id", "trajectory_id", "turns.list.element.end"]
_TARGET_INPUTS = ["problem_id", "trajectory_id", "targets", "weight", "shaped_return"]


@dataclass(frozen=True)
class Conversation:
    """One trajectory with everything a page says about it.

    Attributes:
        problem_id: the problem it belongs to.
        policy: who speaks.
        trajectory_id: 0 … N-1 within problem and policy.
        turns: rows of `TURN_TYPE`.
        token_ids: the whole chat.
        shaped_return: Eq. 12.
        weight: Eq. 13; None where it is not trained on, or not meant for training.
        example: what became of it as a training example; None where it is not meant for training.
        targets: positions at which the spans begin that the loss covers.
    """

    problem_id: str
    policy: str
    trajectory_id: int
    turns: list[dict[str, Any]]
    token_ids: list[int]
    shaped_return: float
    weight: float | None = None
    example: Example | None = None
    targets: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Shown:
    """The conversations of a page, and how many there are in the data.

    Attributes:
        conversations: by problem in the order of `problems`, then by policy and trajectory.
        problems: those they are about.
        total: number of conversations in the data.
        total_problems: number of problems in the data.
    """

    conversations: list[Conversation]
    problems: list[Problem]
    total: int
    total_problems: int


def held_out_conversations(
    eval_trajectories: Shards, problems: Sequence[Problem], weighting: WeightingParameters
) -> Shown:
    """What the policies said to held-out problems, with the returns that gamma and penalty would give them."""
    sizes = problem_sizes(eval_trajectories.tables(_SIZE_INPUTS), problems, "eval")
    chosen = choose_problems(sizes)
    conversations = [
        _conversation(row, row["policy"], shaped_return)
        for table in _rows(eval_trajectories, chosen)
        for row, shaped_return in zip(
            table.to_pylist(), shape_returns(table, weighting)["shaped_return"].to_pylist(), strict=True
        )
    ]
    return _shown(conversations, problems, sizes)


def training_conversations(
    trajectories: Shards,
    shaped_returns: Shards,
    weighted_turns: Shards,
    problems: Sequence[Problem],
    weighting: WeightingParameters,
) -> Shown:
    """What the reference policy said to training problems, and what the training will make of it.

    Only the part of the rollout that is used is shown, cut to its budget.

    Raises:
        UserError: when the tables were not made from each other.
    """
    from drift.weighting.retention import refuse_other_trajectories

    refuse_other_trajectories(trajectories, shaped_returns, weighting)
    used = (part_of_rollout(table, weighting) for table in trajectories.tables(_SIZE_INPUTS))
    sizes = problem_sizes(used, problems, "train")
    chosen = choose_problems(sizes)
    examples = {
        (row["problem_id"], row["trajectory_id"]): row
        for table in _rows(weighted_turns, chosen, _TARGET_INPUTS)
        for row in table.to_pylist()
    }
    returns = {
        (row["problem_id"], row["trajectory_id"]): row["shaped_return"]
        for table in _rows(shaped_returns, chosen, ["problem_id", "trajectory_id", "shaped_return"])
        for row in table.to_pylist()
    }
    if any(returns.get(key) != row["shaped_return"] for key, row in examples.items()):
        raise UserError(
            "`weighted_turns` was not computed from this version of `shaped_returns`: run the whole weighting "
            "pipeline, or name versions that belong together with --load-versions."
        )
    conversations = []
    for table in _rows(trajectories, chosen):
        for row in part_of_rollout(table, weighting).to_pylist():
            key = row["problem_id"], row["trajectory_id"]
            conversations.append(_conversation(row, REFERENCE, returns[key], examples.get(key), weighting.prune_below))
    return _shown(conversations, problems, sizes)


def problem_sizes(tables: Iterable[pa.Table], problems: Sequence[Problem], part: str) -> list[ProblemSize]:
    """How many conversations and tokens every problem has.

    Args:
        tables: thin columns of the data, shard by shard: `problem_id`, and of `turns` their ends.
        problems: those they are about.
        part: `train` or `eval`.

    Raises:
        UserError: when a problem is not in the table of problems.
    """
    num_tokens = pl.col("turns").list.last().struct.field("end")
    counted = pl.concat(pl.DataFrame(table).select("problem_id", tokens=num_tokens) for table in tables)
    grouped = counted.group_by("problem_id").agg(conversations=pl.len(), tokens=pl.col("tokens").sum())
    source = {problem.problem_id: problem.source for problem in problems}
    unknown = sorted(set(grouped["problem_id"]) - set(source))
    if unknown:
        raise UserError(
            f"`{part}_problems` does not hold problem {unknown[0]!r}, which the conversations are about: they were "
            "held on other problems; run the whole job, or name versions that belong together with --load-versions."
        )
    return [
        ProblemSize(source[problem_id], problem_id, conversations, tokens)
        for problem_id, conversations, tokens in grouped.iter_rows()
    ]


def _rows(shards: Shards, chosen: set[str], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows about the chosen problems, one table a shard."""
    is_chosen = pc.field("problem_id").isin(sorted(chosen))
    return (table.filter(is_chosen) for table in shards.tables(columns))


def _conversation(
    row: Mapping[str, Any],
    policy: str,
    shaped_return: float,
    example: Mapping[str, Any] | None = None,
    prune_below: float | None = None,
) -> Conversation:
    what: Example | None = None
    if prune_below is not None:
        what = "dropped" if example is None else "pruned" if example["weight"] < prune_below else "kept"
    return Conversation(
        problem_id=row["problem_id"],
        policy=policy,
        trajectory_id=row["trajectory_id"],
        turns=row["turns"],
        token_ids=row["token_ids"],
        shaped_return=shaped_return,
        weight=example["weight"] if example else None,
        example=what,
        targets=frozenset(span["start"] for span in example["targets"]) if example and what == "kept" else frozenset(),
    )


def _shown(conversations: list[Conversation], problems: Sequence[Problem], sizes: Sequence[ProblemSize]) -> Shown:
    ids = {conversation.problem_id for conversation in conversations}
    shown = [problem for problem in problems if problem.problem_id in ids]
    place = {problem.problem_id: index for index, problem in enumerate(shown)}
    policies = list(dict.fromkeys(conversation.policy for conversation in conversations))
    ordered = sorted(
        conversations, key=lambda said: (place[said.problem_id], policies.index(said.policy), said.trajectory_id)
    )
    return Shown(ordered, shown, sum(size.conversations for size in sizes), len(sizes))
