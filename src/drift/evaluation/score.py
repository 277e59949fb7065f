"""From greedy trajectories to the `multi_at_k` JSON: every policy on every benchmark, side by side.

All policies must have answered every problem exactly once, so that their differences are paired by problem and no
number rests on part of a benchmark. What is not defined is null, never NaN.

Shapes: _P problems, _K turns.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from drift.evaluation.averages import averages, averages_with_intervals
from drift.evaluation.chance import chance_with_repetition, chance_without_repetition
from drift.evaluation.control import score_control
from drift.evaluation.measured import Measured
from drift.evaluation.metrics import correction_rate, multi_at_k
from drift.evaluation.outcomes import (
    REFERENCE,
    TRAINED,
    outcomes_of,
    problem_choices,
    refuse_unusable,
    refuse_unusable_attempts,
)
from drift.evaluation.overlaps import shared_resamplings
from drift.evaluation.plain import plain
from drift.evaluation.ratios import BY_TURN, METRICS, Ratio
from drift.evaluation.statistics import (
    bootstrap_p_value,
    difference_interval,
    interval,
    mcnemar_p_value,
    permutation_p_value,
    permuted_differences,
    samples,
)
from drift.protocol.trajectory import VERDICTS

FORMULAS: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = MappingProxyType(
    {"multi_at_k": multi_at_k, "correction_rate": correction_rate}
)
"""The metrics that the paper has a formula for; the others are the values of their ratios."""
NO_DOMAINS: Mapping[str, str | None] = MappingProxyType({})


def score(
    trajectories: pa.Table,
    problems: pa.Table,
    max_turns: int,
    bootstrap_samples: int,
    seed: int,
    domain_by_benchmark: Mapping[str, str | None] = NO_DOMAINS,
    attempts: pa.Table | None = None,
) -> dict[str, Any]:
    """multi@k and what explains it, for each policy on each benchmark.

    Args:
        trajectories: one greedy trajectory per policy and problem (`EVAL_TRAJECTORY_SCHEMA`; of it, `OUTCOME_COLUMNS`).
        problems: the problems they answer (`PROBLEM_SCHEMA`).
        max_turns: the budget K.
        bootstrap_samples: resamples of the problems behind each 95 % interval, and permutations behind each p-value.
        seed: seed of the resampling.
        domain_by_benchmark: `math` or `general`; a benchmark that is not listed counts in the average of all only.
        attempts: independent single responses to the same problems, equally many of each (the same schema); without
            any, there is no control.

    Returns:
        Plain Python, ready for JSON: `benchmarks` by name, `averages` of multi@K over benchmarks by domain, and
        `averages_with_intervals`, the same for every k with intervals and differences.

    Raises:
        UserError: when a problem is unknown, was not answered exactly once by every policy, or took too many turns, or
            when its attempts are not equally many single responses.
    """
    choices = problem_choices(problems)
    outcomes = outcomes_of(trajectories).join(choices, on="problem_id", how="left", nulls_equal=False)
    refuse_unusable(outcomes, problems, max_turns)
    frames = {str(name): frame for (name,), frame in outcomes.sort("place").group_by("benchmark", maintain_order=True)}
    draws = shared_resamplings(texts_by_benchmark(frames, problems), bootstrap_samples, seed)
    measured = {name: Measured.of(frame, max_turns, draws[name]) for name, frame in frames.items()}
    tried = attempts_by_benchmark_and_policy(attempts, choices, problems)
    benchmarks = {name: score_benchmark(benchmark, tried.get(name, {})) for name, benchmark in measured.items()}
    return {
        "benchmarks": benchmarks,
        "averages": averages(benchmarks, domain_by_benchmark),
        "averages_with_intervals": averages_with_intervals(measured, domain_by_benchmark),
    }


def texts_by_benchmark(frames: Mapping[str, pl.DataFrame], problems: pa.Table) -> dict[str, list[str]]:
    """What each benchmark asks, in the order of the problems' ids."""
    text = dict(zip(problems["problem_id"].to_pylist(), problems["problem"].to_pylist(), strict=True))
    return {
        name: [text[problem_id] for problem_id in frame["problem_id"].unique().sort()] for name, frame in frames.items()
    }


def attempts_by_benchmark_and_policy(
    attempts: pa.Table | None, choices: pl.DataFrame, problems: pa.Table
) -> dict[str, dict[str, pl.DataFrame]]:
    """The independent attempts of each benchmark, by policy; nothing where there are none."""
    if attempts is None or attempts.num_rows == 0:
        return {}
    outcomes = outcomes_of(attempts).join(choices, on="problem_id", how="left", nulls_equal=False)
    refuse_unusable_attempts(outcomes, problems)
    tried: dict[str, dict[str, pl.DataFrame]] = {}
    for (benchmark, policy), frame in outcomes.group_by("benchmark", "policy", maintain_order=True):
        tried.setdefault(str(benchmark), {})[str(policy)] = frame
    return tried


def score_benchmark(measured: Measured, attempts: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """One benchmark's entry: its policies, their differences from the reference, and the chance curves."""
    entry: dict[str, Any] = {"problems": measured.num_problems}
    for policy in measured.outcomes:
        entry[policy] = score_policy(measured, policy, attempts.get(policy))
    differences = {policy: score_difference(measured, policy) for policy in measured.compared}
    if TRAINED in differences:
        entry["difference"] = differences[TRAINED]
    if differences:
        entry["differences"] = differences
    entry["chance"] = chance(measured.num_choices_P, measured.max_turns)
    return entry


def score_policy(measured: Measured, policy: str, attempts: pl.DataFrame | None) -> dict[str, Any]:
    """What one policy reached on one benchmark, with 95 % intervals."""
    outcomes, entry = measured.outcomes[policy], {}
    for name, ratio_of in METRICS.items():
        ratio = ratio_of(outcomes)
        is_formula = name in FORMULAS
        value_X = FORMULAS[name](outcomes.solved_turn_P, outcomes.max_turns) if is_formula else ratio.value()
        entry[name] = by_turn_or_one(name, value_X)
        entry[interval_key(name)] = by_turn_or_one(name, interval(ratio, measured.resampling))
    entry["verdicts"] = {verdict: int(measured.frames[policy][verdict].sum()) for verdict in VERDICTS}
    entry["control"] = None if attempts is None else score_control(attempts, outcomes, measured.resampling)
    return entry


def score_difference(measured: Measured, policy: str) -> dict[str, Any]:
    """One policy minus the reference on the same problems, with paired 95 % intervals and p-values."""
    before, after, entry = measured.outcomes[REFERENCE], measured.outcomes[policy], {}
    for name, ratio_of in METRICS.items():
        ratios = ratio_of(before), ratio_of(after)
        entry[name] = by_turn_or_one(name, ratios[1].value() - ratios[0].value())
        entry[interval_key(name)] = by_turn_or_one(name, difference_interval(*ratios, measured.resampling))
        p_X = mcnemar_p_values(*ratios) if name == "multi_at_k" else p_values(*ratios, measured)
        entry["p_value" if name == "multi_at_k" else f"{name}_p_value"] = by_turn_or_one(name, p_X)
    return entry


def mcnemar_p_values(before: Ratio, after: Ratio) -> np.ndarray:
    """McNemar's exact test of multi@k, for k = 1…K, shape (K,)."""
    pairs = zip(before.numerator_PX.T, after.numerator_PX.T, strict=True)
    return np.array([mcnemar_p_value(before_P, after_P) for before_P, after_P in pairs])


def p_values(before: Ratio, after: Ratio, measured: Measured) -> np.ndarray:
    """One p for each number of a metric's difference: by permutation for means, by bootstrap for shares of shares.

    What the two policies are measured on may differ (problems that were wrong at turn 1, responses). Exchanging the
    results of whole problems would then test whether the policies differ in anything, also in what comes before.
    """
    difference_X = after.value() - before.value()
    p_X = permutation_p_value(difference_X, permuted_differences(before, after, measured.resampling))
    sampled_BX = samples(after, measured.resampling) - samples(before, measured.resampling)
    for index in np.flatnonzero((before.denominator_PX != after.denominator_PX).any(axis=0) & ~np.isnan(difference_X)):
        p_X[index] = bootstrap_p_value(sampled_BX[:, index])
    return p_X


def interval_key(metric: str) -> str:
    """The key of a metric's interval; multi@k has the short one."""
    return "ci95" if metric == "multi_at_k" else f"{metric}_ci95"


def by_turn_or_one(metric: str, number_X: np.ndarray) -> Any:  # noqa: ANN401
    """Plain numbers: one for each turn, or the only one."""
    numbers = plain(number_X)
    return numbers if metric in BY_TURN else numbers[0]


def chance(num_choices_P: np.ndarray, max_turns: int) -> dict[str, Any] | None:
    """multi@k of a guesser, with and without repetition; None where no problem is multiple choice."""
    if not num_choices_P.any():
        return None
    return {
        "with_repetition": plain(chance_with_repetition(num_choices_P, max_turns)),
        "without_repetition": plain(chance_without_repetition(num_choices_P, max_turns)),
    }
