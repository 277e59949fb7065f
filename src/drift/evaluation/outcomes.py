"""What each trajectory came to, as numbers over problems: everything the metrics are computed from.

Shapes: _P problems, in the order of their ids.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from drift.errors import UserError
from drift.protocol.trajectory import VERDICTS

REFERENCE = "reference"
TRAINED = "trained"
NOT_A_POLICY = ("problems", "difference", "differences", "chance")
OUTCOME_COLUMNS = [
    "policy",
    "benchmark",
    "problem_id",
    "trajectory_id",
    *(f"turns.list.element.{field}" for field in ("start", "end", "answer", "verdict", "stopped")),
    "success",
    "num_turns",
]
"""The columns the scores need, as they are named in the file; the texts and the tokens stay there."""


@dataclass(frozen=True)
class Outcomes:
    """One policy's trajectories on one benchmark, one per problem.

    Attributes:
        max_turns: the budget K.
        solved_turn_P: the turn at which each problem was solved, 0 for never.
        num_turns_P: responses given.
        distinct_answers_P: distinct normalised answers.
        num_repeated_P: retries whose answer was given before in the trajectory.
        num_continued_P: turns with an answer that were followed by another turn.
        num_lost_P: those of them whose next turn has no answer that can be read.
        response_tokens_P: tokens of all responses.
        num_cut_P: responses cut at the token limit.
        first_response_tokens_P: tokens of the response at turn 1.
    """

    max_turns: int
    solved_turn_P: np.ndarray
    num_turns_P: np.ndarray
    distinct_answers_P: np.ndarray
    num_repeated_P: np.ndarray
    num_continued_P: np.ndarray
    num_lost_P: np.ndarray
    response_tokens_P: np.ndarray
    num_cut_P: np.ndarray
    first_response_tokens_P: np.ndarray

    @classmethod
    def of(cls, frame: pl.DataFrame, max_turns: int) -> "Outcomes":
        """From rows of `outcomes_of`, one per problem."""
        names = [name.removesuffix("_P") for name in cls.__dataclass_fields__ if name.endswith("_P")]
        ordered = frame.sort("problem_id")
        return cls(max_turns, *(ordered[name].to_numpy() for name in names))


def outcomes_of(trajectories: pa.Table) -> pl.DataFrame:
    """One row of numbers for each trajectory; see `Outcomes`."""
    answer, verdict = pl.element().struct.field("answer"), pl.element().struct.field("verdict")
    tokens = pl.element().struct.field("end") - pl.element().struct.field("start")
    turns, answered = pl.col("turns").list, pl.col("num_answered")
    columns = ["policy", "benchmark", "problem_id", "trajectory_id", "turns", "success", "num_turns"]
    frame = pl.DataFrame(trajectories.select(columns)).with_columns(
        num_answered=turns.agg(answer.is_not_null().sum()),
        distinct_answers=turns.agg(answer.drop_nulls().n_unique()),
    )
    counts = {
        "solved_turn": pl.when("success").then("num_turns").otherwise(0),
        "num_turns": pl.col("num_turns"),
        "distinct_answers": pl.col("distinct_answers"),
        # The first time an answer is given is not a repetition; every other time is a retry.
        "num_repeated": answered - pl.col("distinct_answers"),
        "num_continued": turns.agg(answer.shift(1).is_not_null().sum()),
        "num_lost": turns.agg((answer.shift(1).is_not_null() & (verdict == "unparsable")).sum()),
        "response_tokens": turns.agg(tokens.sum()),
        "num_cut": turns.agg((~pl.element().struct.field("stopped")).sum()),
        "first_response_tokens": turns.agg(tokens.first()),
        **{name: turns.agg((verdict == name).sum()) for name in VERDICTS},
    }
    return frame.select(
        *columns[:4], num_unknown=turns.agg((~verdict.is_in(VERDICTS)).sum()), **cast_to_integers(counts)
    )


def cast_to_integers(counts: Mapping[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Signed integers, so that differences of counts do not wrap around."""
    return {name: count.cast(pl.Int64) for name, count in counts.items()}


def problem_choices(problems: pa.Table) -> pl.DataFrame:
    """The number of options of each problem, null where it has none, and its `place` in the table."""
    return (
        pl.DataFrame(problems.select(["problem_id", "num_choices"]))
        .unique("problem_id", maintain_order=True)
        .with_row_index("place")
    )


def refuse_unusable(outcomes: pl.DataFrame, problems: pa.Table, max_turns: int) -> None:
    """Refuses conversations that are not exactly one of each problem with every policy, within the budget.

    Raises:
        UserError: naming the first problem or policy at fault.
    """
    if outcomes.is_empty():
        raise UserError("There is no trajectory to score; run the evaluation on at least one problem.")
    if taken := set(outcomes["policy"]) & set(NOT_A_POLICY):
        raise UserError(f"A policy cannot be called {taken.pop()!r}, the scores use that name; give it another.")
    refuse_unknown(outcomes)
    stopped_early = (pl.col("solved_turn") == 0) & (pl.col("num_turns") < max_turns)
    refuse_first(
        outcomes.filter((pl.col("num_turns") > max_turns) | stopped_early),
        f"was not given protocol.max_turns ({max_turns}) turns; score with the max_turns it was sampled with.",
    )
    refuse_first(
        outcomes.filter(pl.struct("policy", "problem_id").is_duplicated()),
        "was answered more than once by the same policy; keep one greedy trajectory of each.",
    )
    refuse_missing_problems(outcomes, problems)


def refuse_unusable_attempts(attempts: pl.DataFrame, problems: pa.Table) -> None:
    """Refuses independent attempts that are not single responses, equally many for every problem of a policy.

    Raises:
        UserError: naming the first problem or policy at fault.
    """
    refuse_unknown(attempts)
    refuse_first(attempts.filter(pl.col("num_turns") != 1), "has an attempt of several turns; an attempt has one.")
    refuse_first(
        attempts.filter(pl.struct("policy", "problem_id", "trajectory_id").is_duplicated()),
        "has the same attempt twice; give every attempt a trajectory_id of its own.",
    )
    num_attempts = pl.len().over("policy", "problem_id")
    refuse_first(
        attempts.filter(num_attempts != num_attempts.max().over("policy", "benchmark")),
        "has fewer attempts than other problems; pass@k needs equally many of each.",
    )
    refuse_missing_problems(attempts, problems)


def refuse_unknown(outcomes: pl.DataFrame) -> None:
    """Raises about a problem that is not in the table, or a verdict that is none."""
    refuse_first(
        outcomes.filter(pl.col("place").is_null()),
        "is not in the problems table; score with the table it was asked from.",
    )
    refuse_first(
        outcomes.filter(pl.col("num_unknown") > 0),
        f"has a verdict that is not one of {', '.join(VERDICTS)}; verify it again.",
    )


def refuse_first(offending: pl.DataFrame, sentence: str) -> None:
    """Raises about the first offending trajectory, if there is one."""
    if not offending.is_empty():
        policy, benchmark, problem_id = offending.select("policy", "benchmark", "problem_id").row(0)
        raise UserError(f"Problem {problem_id!r} (policy {policy!r}, benchmark {benchmark!r}) {sentence}")


def refuse_missing_problems(outcomes: pl.DataFrame, problems: pa.Table) -> None:
    """Raises when a policy has not answered some problems of the table."""
    known_ids = set(problems["problem_id"].to_pylist())
    for (policy,), frame in outcomes.group_by("policy", maintain_order=True):
        refuse_missing(str(policy), known_ids - set(frame["problem_id"]))


def refuse_missing(policy: str, missing_ids: Iterable[str]) -> None:
    """Raises when a policy has not answered some problems of the table."""
    if missing := sorted(missing_ids):
        raise UserError(
            f"Policy {policy!r} has not answered {len(missing)} of the problems (such as {missing[0]!r}); "
            "all policies must answer the same problems, those of the problems table."
        )


def policy_names(benchmark: Mapping[str, Any]) -> list[str]:
    """The policies in one benchmark's entry of the scores, in its order."""
    return [name for name in benchmark if name not in NOT_A_POLICY]
