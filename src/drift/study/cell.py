"""A cell of the study: one variant, trained and evaluated with one seed, as plain JSON.

A cell keeps what each held-out conversation came to, not the metrics: these, their intervals over problems and seeds,
and the paired differences between variants are computed from all cells together.

Shapes: _P problems, in the order of their ids; _K turns.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import polars as pl
import pyarrow as pa

from drift.evaluation.outcomes import (
    OUTCOME_COLUMNS,
    REFERENCE,
    TRAINED,
    Outcomes,
    outcomes_of,
    problem_choices,
    refuse_unusable,
)
from drift.fingerprint import files_fingerprint, fingerprint
from drift.problems.benchmarks import domains
from drift.problems.leaks import normalised_text
from drift.shards import Shards
from drift.study_parameters import Swept

if TYPE_CHECKING:
    import pandas as pd

POLICIES = (REFERENCE, TRAINED)
SETTINGS = ("weighting", "training", "rollout", "rounds", "data")
"""The facts of a cell that tell variants apart."""
ASKED = ("model", "problems", "protocol", "evaluation")
"""The facts that all cells of a study share."""
COUNTS = tuple(name.removesuffix("_P") for name in Outcomes.__dataclass_fields__ if name.endswith("_P"))
"""What is kept of each conversation; see `Outcomes`."""


class CellCosts(TypedDict):
    """What a cell took.

    Attributes:
        sampling_seconds: of the whole rollouts its trajectories come from, starting the engine included; 0 where the
            variant needs none, None where it was not counted.
        engine_start_seconds: of these, starting the engine.
        training_seconds: of all optimiser steps.
        evaluation_seconds: of the trained policy's conversations; None where it was not counted.
        response_tokens: of the whole rollouts.
        tokens_trained: tokens computed in training.
        response_tokens_by_turn: the rollouts' tokens of each turn, K numbers.
    """

    sampling_seconds: float | None
    engine_start_seconds: float
    training_seconds: float
    evaluation_seconds: float | None
    response_tokens: int
    tokens_trained: int
    response_tokens_by_turn: list[int]


class BenchmarkOutcomes(TypedDict):
    """What both policies came to on one benchmark.

    Attributes:
        domain: which average of the results it belongs to; None where it counts in the average of all only.
        problem_ids: in the order of all other lists.
        questions: a short name of each problem's text, by which benchmarks that share problems are known.
        num_choices: options of each problem, 0 where it is not multiple choice.
        policies: by `reference` and `trained`, the lists of `Outcomes` without `_P`.
    """

    domain: str | None
    problem_ids: list[str]
    questions: list[str]
    num_choices: list[int]
    policies: dict[str, dict[str, list[int]]]


class CellResult(TypedDict):
    """What one variant came to with one seed.

    Attributes:
        study: the name of the study.
        seed: of training, and of whatever else the study repeats.
        variant: its name.
        swept: the swept parameter and its value; None for a variant of no sweep.
        facts: everything that decides the result, see `drift.study.design`.
        settings: those of the facts that tell variants apart: `weighting`, `training`, `rollout`, ….
        asked: those that all variants share: the model, the problems, how they are asked.
        trajectories: fingerprint of the rollout that the first round was trained on; None where none was sampled.
        composition: `weighting_summary`.
        costs: seconds and tokens.
        max_turns: the budget K of the evaluation.
        benchmarks: by name.
    """

    study: str
    seed: int
    variant: str
    swept: Swept | None
    facts: dict[str, Any]
    settings: dict[str, Any]
    asked: dict[str, Any]
    trajectories: str | None
    composition: dict[str, float]
    costs: CellCosts
    max_turns: int
    benchmarks: dict[str, BenchmarkOutcomes]


def cell_of(
    study: str,
    seed: int,
    variant: str,
    swept: Swept | None,
    facts: Mapping[str, Any],
    composition: Mapping[str, float],
    trajectories: Sequence[Shards],
    training_logs: Sequence["pd.DataFrame"],
    eval_trajectories: Shards,
    problems: pa.Table,
    max_turns: int,
) -> CellResult:
    """A finished variant as a cell.

    Args:
        study: the name of the study.
        seed: of this cell.
        variant: its name.
        swept: see `CellResult`; None for a variant of no sweep.
        facts: see `CellResult`; must be plain JSON.
        composition: `weighting_summary` of the variant's own weights.
        trajectories: the whole rollout of each round, also where the variant keeps a part of its turns or trajectories,
            so that all cells reckon from the same; none for a variant that needs no rollout.
        training_logs: rows of `StepLog`, of each round.
        eval_trajectories: conversations of (at least) the reference and the trained policy.
        problems: the held-out problems (`PROBLEM_SCHEMA`).
        max_turns: the budget K of the evaluation.

    Raises:
        UserError: when the conversations are not exactly one of each problem with both policies.
    """
    return {
        "study": study,
        "seed": seed,
        "variant": variant,
        "swept": swept,
        "facts": dict(facts),
        "settings": {name: facts[name] for name in SETTINGS if name in facts},
        "asked": {name: facts[name] for name in ASKED if name in facts},
        "trajectories": files_fingerprint(trajectories[0].files()) if trajectories else None,
        "composition": dict(composition),
        "costs": costs_of(trajectories, training_logs, eval_trajectories, max_turns),
        "max_turns": max_turns,
        "benchmarks": benchmarks_of(eval_trajectories.read(OUTCOME_COLUMNS), problems, max_turns),
    }


def benchmarks_of(eval_trajectories: pa.Table, problems: pa.Table, max_turns: int) -> dict[str, BenchmarkOutcomes]:
    """What both policies came to on every benchmark, in the order of the problems table.

    Args:
        eval_trajectories: the columns `OUTCOME_COLUMNS`; other policies than the two are left out.
        problems: the problems they answer (`PROBLEM_SCHEMA`).
        max_turns: the budget K.

    Raises:
        UserError: when the conversations are not exactly one of each problem with both policies.
    """
    outcomes = outcomes_of(eval_trajectories).filter(pl.col("policy").is_in(POLICIES))
    outcomes = outcomes.join(problem_choices(problems), on="problem_id", how="left", nulls_equal=False)
    refuse_unusable(outcomes, problems, max_turns)
    domain_by_benchmark = domains()
    question = {
        problem_id: fingerprint({"question": normalised_text(text)})[:12]
        for problem_id, text in zip(problems["problem_id"].to_pylist(), problems["problem"].to_pylist(), strict=True)
    }
    benchmarks: dict[str, BenchmarkOutcomes] = {}
    for (name,), frame in outcomes.sort("place").group_by("benchmark", maintain_order=True):
        by_policy = {str(policy): of_policy for (policy,), of_policy in frame.sort("problem_id").group_by("policy")}
        asked = next(iter(by_policy.values()))
        benchmarks[str(name)] = {
            "domain": domain_by_benchmark.get(str(name)),
            "problem_ids": asked["problem_id"].to_list(),
            "questions": [question[problem_id] for problem_id in asked["problem_id"]],
            "num_choices": asked["num_choices"].fill_null(0).to_list(),
            "policies": {
                policy: {count: by_policy[policy][count].to_list() for count in COUNTS}
                for policy in POLICIES
                if policy in by_policy
            },
        }
    return benchmarks


def outcomes_in(cell: CellResult, benchmark: str, policy: str) -> Outcomes:
    """What one policy came to on one benchmark, back as arrays."""
    counts = cell["benchmarks"][benchmark]["policies"][policy]
    return Outcomes(cell["max_turns"], *(np.array(counts[name], dtype=np.int64) for name in COUNTS))


def costs_of(
    trajectories: Sequence[Shards], training_logs: Sequence["pd.DataFrame"], eval_trajectories: Shards, max_turns: int
) -> CellCosts:
    """What sampling, training and evaluation took, all rounds together."""
    tokens_K = response_tokens_by_turn(trajectories, max_turns)
    sampling = [engine_seconds(rollout.costs) for rollout in trajectories]
    counted = [seconds for seconds in sampling if seconds is not None]
    return {
        "sampling_seconds": sum(counted) if len(counted) == len(sampling) else None,
        "engine_start_seconds": sum(rollout.costs.get("engine_start_seconds", 0.0) for rollout in trajectories),
        "training_seconds": sum(float(log["seconds"].sum()) for log in training_logs),
        "evaluation_seconds": engine_seconds(eval_trajectories.costs.get(TRAINED) or {}),
        "response_tokens": sum(tokens_K),
        "tokens_trained": sum(int(log["num_tokens"].sum()) for log in training_logs),
        "response_tokens_by_turn": tokens_K,
    }


def engine_seconds(costs: Mapping[str, float]) -> float | None:
    """Seconds of starting the engine and sampling; None where they were not counted."""
    counted = [costs[name] for name in ("engine_start_seconds", "sampling_seconds") if name in costs]
    return float(sum(counted)) if counted else None


def response_tokens_by_turn(trajectories: Sequence[Shards], max_turns: int) -> list[int]:
    """Response tokens of each turn over all trajectories of all rounds; only the turns' spans are read.

    Returns:
        One number for each of `max_turns` turns, or more where a rollout had more.
    """
    tokens_by_turn = dict.fromkeys(range(1, max_turns + 1), 0)
    for rollout in trajectories:
        for table in rollout.tables(["turns.list.element.start", "turns.list.element.end"]):
            for turn, tokens in tokens_of_turns(table).iter_rows():
                tokens_by_turn[turn] = tokens_by_turn.get(turn, 0) + tokens
    return [tokens_by_turn[turn] for turn in sorted(tokens_by_turn)]


def tokens_of_turns(trajectories: pa.Table) -> pl.DataFrame:
    """Turn (1 …) and its response tokens over the trajectories of one shard."""
    tokens = pl.element().struct.field("end") - pl.element().struct.field("start")
    return (
        pl.DataFrame(trajectories)
        .select(tokens=pl.col("turns").list.eval(tokens).cast(pl.List(pl.Int64)))
        .with_columns(turn=pl.int_ranges(1, pl.col("tokens").list.len() + 1))
        .explode("tokens", "turn")
        .group_by("turn")
        .agg(pl.col("tokens").sum())
    )
