"""From greedy trajectories to the `multi_at_k` JSON: every policy on every benchmark, side by side.

All policies must have answered every problem exactly once, so that their difference is paired by problem and no
number rests on part of a benchmark. What is not defined is null, never NaN.

Shapes: _P problems, _K turns, _M turns of all trajectories, _X any.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import ArrayLike

from drift.errors import UserError
from drift.evaluation import metrics, statistics

REFERENCE = "reference"
TRAINED = "trained"
NOT_A_POLICY = ("problems", "difference", "chance")
DOMAINS = ("math", "general")
NO_DOMAINS: Mapping[str, str | None] = MappingProxyType({})


def score(
    trajectories: pa.Table,
    problems: pa.Table,
    max_turns: int,
    bootstrap_samples: int,
    seed: int,
    domain_by_benchmark: Mapping[str, str | None] = NO_DOMAINS,
) -> dict[str, Any]:
    """multi@k and what explains it, for each policy on each benchmark.

    Args:
        trajectories: one greedy trajectory per policy and problem (`EVAL_TRAJECTORY_SCHEMA`; `token_ids` is not read).
        problems: the problems they answer (`PROBLEM_SCHEMA`).
        max_turns: the budget K.
        bootstrap_samples: resamples of the problems behind each 95 % interval.
        seed: seed of the resampling.
        domain_by_benchmark: `math` or `general`; a benchmark that is not listed counts in the average of all only.

    Returns:
        Plain Python, ready for JSON: `benchmarks` by name, and `averages` of multi@K over benchmarks by domain.

    Raises:
        UserError: when a problem is unknown, was not answered exactly once by every policy, or took too many turns.
    """
    outcomes = outcomes_of(trajectories).join(problem_choices(problems), on="problem_id", how="left", nulls_equal=False)
    refuse_unusable(outcomes, problems, max_turns)
    benchmarks = {
        str(name): score_benchmark(of_benchmark, max_turns, bootstrap_samples, seed)
        for (name,), of_benchmark in outcomes.group_by("benchmark", maintain_order=True)
    }
    return {"benchmarks": benchmarks, "averages": averages(benchmarks, domain_by_benchmark)}


def score_benchmark(outcomes: pl.DataFrame, max_turns: int, num_samples: int, seed: int) -> dict[str, Any]:
    """One benchmark's entry: its policies, their difference where it has both, and the chance curves."""
    of_policy = {
        str(policy): frame.sort("problem_id") for (policy,), frame in outcomes.group_by("policy", maintain_order=True)
    }
    entry: dict[str, Any] = {"problems": outcomes["problem_id"].n_unique()}
    for policy in sorted(of_policy, key=lambda name: (name != REFERENCE, name != TRAINED)):
        entry[policy] = score_policy(of_policy[policy], max_turns, num_samples, seed)
    if REFERENCE in of_policy and TRAINED in of_policy:
        entry["difference"] = score_difference(of_policy[REFERENCE], of_policy[TRAINED], max_turns, num_samples, seed)
    entry["chance"] = chance(next(iter(of_policy.values())), max_turns)
    return entry


def score_policy(outcomes: pl.DataFrame, max_turns: int, num_samples: int, seed: int) -> dict[str, Any]:
    """What one policy reached on one benchmark, with 95 % intervals."""
    solved_turn_P = outcomes["solved_turn"].to_numpy()
    distinct_answers_P = outcomes["distinct_answers"].to_numpy()
    distinct, distinct_failed = metrics.mean_distinct_answers(distinct_answers_P, solved_turn_P)
    sampling = (num_samples, seed)
    return {
        "multi_at_k": plain(metrics.multi_at_k(solved_turn_P, max_turns)),
        "ci95": plain(statistics.multi_at_k_interval(solved_turn_P, max_turns, *sampling)),
        "correction_rate": plain(metrics.correction_rate(solved_turn_P, max_turns)),
        "correction_rate_ci95": plain(statistics.correction_rate_interval(solved_turn_P, max_turns, *sampling)),
        "correction_rate_overall": plain(metrics.overall_correction_rate(solved_turn_P, max_turns)),
        "correction_rate_overall_ci95": plain(statistics.overall_correction_rate_interval(solved_turn_P, *sampling)),
        "distinct_answers": plain(distinct),
        "distinct_answers_ci95": plain(statistics.mean_interval(distinct_answers_P, *sampling)),
        "distinct_answers_failed": plain(distinct_failed),
        "verdicts": metrics.verdict_counts(outcomes["verdicts"].explode().to_numpy()),
    }


def score_difference(
    reference: pl.DataFrame, trained: pl.DataFrame, max_turns: int, num_samples: int, seed: int
) -> dict[str, Any]:
    """The trained policy minus the reference on the same problems in the same order, with paired 95 % intervals."""
    before_P, after_P = reference["solved_turn"].to_numpy(), trained["solved_turn"].to_numpy()
    distinct_P = trained["distinct_answers"].to_numpy() - reference["distinct_answers"].to_numpy()
    rates = [metrics.overall_correction_rate(solved_turn_P, max_turns) for solved_turn_P in (before_P, after_P)]
    rate_interval = statistics.overall_correction_rate_difference_interval(before_P, after_P, num_samples, seed)
    interval_K = statistics.multi_at_k_difference_interval(before_P, after_P, max_turns, num_samples, seed)
    return {
        "multi_at_k": plain(metrics.multi_at_k(after_P, max_turns) - metrics.multi_at_k(before_P, max_turns)),
        "ci95": plain(interval_K),
        "correction_rate_overall": plain(rates[1] - rates[0]),
        "correction_rate_overall_ci95": plain(rate_interval if np.isfinite(rates).all() else np.full(2, np.nan)),
        "distinct_answers": plain(distinct_P.mean()),
        "distinct_answers_ci95": plain(statistics.mean_interval(distinct_P, num_samples, seed)),
    }


def chance(outcomes: pl.DataFrame, max_turns: int) -> dict[str, Any] | None:
    """multi@k of a guesser, with and without repetition; None where no problem is multiple choice."""
    num_choices_P = outcomes["num_choices"].fill_null(0).to_numpy()
    if not num_choices_P.any():
        return None
    return {
        "with_repetition": plain(statistics.chance_with_repetition(num_choices_P, max_turns)),
        "without_repetition": plain(statistics.chance_without_repetition(num_choices_P, max_turns)),
    }


def averages(
    benchmarks: Mapping[str, Mapping[str, Any]], domain_by_benchmark: Mapping[str, str | None]
) -> dict[str, dict[str, float] | None]:
    """Unweighted mean of multi@K over the benchmarks of each domain, by policy; None for a domain without any."""
    of_domain = {
        domain: [entry for name, entry in benchmarks.items() if domain_by_benchmark.get(name) == domain]
        for domain in DOMAINS
    }
    return {domain: average(entries) for domain, entries in {**of_domain, "all": list(benchmarks.values())}.items()}


def average(entries: list[Mapping[str, Any]]) -> dict[str, float] | None:
    """Unweighted mean of multi@K over benchmarks, for the policies that all of them have; None without benchmarks."""
    if not entries:
        return None
    shared = [policy for policy in policy_names(entries[0]) if all(policy in entry for entry in entries)]
    return {policy: float(np.mean([entry[policy]["multi_at_k"][-1] for entry in entries])) for policy in shared}


def policy_names(benchmark: Mapping[str, Any]) -> list[str]:
    """The policies in one benchmark's entry, in its order."""
    return [name for name in benchmark if name not in NOT_A_POLICY]


def outcomes_of(trajectories: pa.Table) -> pl.DataFrame:
    """What each trajectory came to: the turn it was solved at (0 for never), its distinct answers and verdicts."""
    frame = pl.DataFrame(trajectories.select(["policy", "benchmark", "problem_id", "turns", "success", "num_turns"]))
    return frame.select(
        "policy",
        "benchmark",
        "problem_id",
        "num_turns",
        solved_turn=pl.when("success").then("num_turns").otherwise(0),
        distinct_answers=pl.col("turns")
        .list.eval(pl.element().struct.field("answer").drop_nulls().unique())
        .list.len(),
        verdicts=pl.col("turns").list.eval(pl.element().struct.field("verdict")),
    ).with_columns(pl.col("distinct_answers").cast(pl.Int64))


def problem_choices(problems: pa.Table) -> pl.DataFrame:
    """The number of options of each problem, null where it has none; `known` marks the problems of the table."""
    frame = pl.DataFrame(problems.select(["problem_id", "num_choices"]))
    return frame.unique("problem_id").with_columns(known=pl.lit(True))


def refuse_unusable(outcomes: pl.DataFrame, problems: pa.Table, max_turns: int) -> None:
    """Raises unless every policy answered every problem of the table exactly once, within the budget."""
    if outcomes.is_empty():
        raise UserError("There is no trajectory to score; run the evaluation on at least one problem.")
    if taken := set(outcomes["policy"]) & set(NOT_A_POLICY):
        raise UserError(f"A policy cannot be called {taken.pop()!r}, the scores use that name; give it another.")
    refuse_first(
        outcomes.filter(pl.col("known").is_null()),
        "is not in the problems table; score with the table it was asked from.",
    )
    stopped_early = (pl.col("solved_turn") == 0) & (pl.col("num_turns") < max_turns)
    refuse_first(
        outcomes.filter((pl.col("num_turns") > max_turns) | stopped_early),
        f"was not given protocol.max_turns ({max_turns}) turns; score with the max_turns it was sampled with.",
    )
    refuse_first(
        outcomes.filter(pl.struct("policy", "problem_id").is_duplicated()),
        "was answered more than once by the same policy; keep one greedy trajectory of each.",
    )
    known_ids = problems["problem_id"].unique().to_pylist()
    for (policy,), frame in outcomes.group_by("policy", maintain_order=True):
        refuse_missing(str(policy), set(known_ids) - set(frame["problem_id"]))


def refuse_first(offending: pl.DataFrame, sentence: str) -> None:
    """Raises about the first offending trajectory, if there is one."""
    if not offending.is_empty():
        policy, benchmark, problem_id = offending.select("policy", "benchmark", "problem_id").row(0)
        raise UserError(f"Problem {problem_id!r} (policy {policy!r}, benchmark {benchmark!r}) {sentence}")


def refuse_missing(policy: str, missing_ids: Iterable[str]) -> None:
    """Raises when a policy has not answered some problems of the table."""
    if missing := sorted(missing_ids):
        raise UserError(
            f"Policy {policy!r} has not answered {len(missing)} of the problems (such as {missing[0]!r}); "
            "all policies must answer the same problems, those of the problems table."
        )


def plain(number_X: ArrayLike) -> float | list[Any] | None:
    """Numbers as plain Python for JSON: floats or nested lists of them, None for NaN."""
    object_X = np.array(number_X, dtype=object)
    object_X[np.isnan(np.asarray(number_X, dtype=np.float64))] = None
    return object_X.tolist()
