"""Averages over benchmarks, as the paper prints them: of the mathematical ones, the general ones, and all.

Every benchmark counts the same, whatever its size. A bootstrap sample of an average is the average of one sample of
each; benchmarks are drawn independently, but a problem that two of them ask is drawn for both
(`drift.evaluation.overlaps`).

Shapes: _B bootstrap samples, _K turns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drift.evaluation.measured import Measured
from drift.evaluation.outcomes import REFERENCE, policy_names
from drift.evaluation.plain import plain
from drift.evaluation.ratios import solved_within
from drift.evaluation.statistics import (
    difference_interval,
    interval,
    percentiles,
    permutation_p_value,
    permuted_differences,
    samples,
)

DOMAINS = ("math", "general")


def averages(
    benchmarks: Mapping[str, Mapping[str, Any]], domain_by_benchmark: Mapping[str, str | None]
) -> dict[str, dict[str, float] | None]:
    """Unweighted mean of multi@K over the benchmarks of each domain, by policy; None for a domain without any."""
    of_domain = names_by_domain(list(benchmarks), domain_by_benchmark)
    return {domain: average([benchmarks[name] for name in names]) for domain, names in of_domain.items()}


def average(entries: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Unweighted mean of multi@K over benchmarks, for the policies that all of them have; None without benchmarks."""
    if not entries:
        return None
    shared = [policy for policy in policy_names(entries[0]) if all(policy in entry for entry in entries)]
    return {policy: float(np.mean([entry[policy]["multi_at_k"][-1] for entry in entries])) for policy in shared}


def averages_with_intervals(
    measured: Mapping[str, Measured], domain_by_benchmark: Mapping[str, str | None]
) -> dict[str, dict[str, Any] | None]:
    """Mean multi@k of each domain for every k, with intervals, and differences from the reference; None without any.

    Returns:
        By domain: `benchmarks` (names), `policies` by name (`multi_at_k`, `ci95`), `differences` by name (`multi_at_k`,
        `ci95`, `p_value`).
    """
    of_domain = names_by_domain(list(measured), domain_by_benchmark)
    return {
        domain: average_with_intervals({name: measured[name] for name in names}) if names else None
        for domain, names in of_domain.items()
    }


def names_by_domain(names: Sequence[str], domain_by_benchmark: Mapping[str, str | None]) -> dict[str, list[str]]:
    """The benchmarks of each domain, and all of them."""
    of_domain = {domain: [name for name in names if domain_by_benchmark.get(name) == domain] for domain in DOMAINS}
    return {**of_domain, "all": list(names)}


def average_with_intervals(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """One domain's averages, for the policies that all of its benchmarks have."""
    benchmarks = list(measured.values())
    shared = [policy for policy in benchmarks[0].outcomes if all(policy in other.outcomes for other in benchmarks)]
    compared = [policy for policy in shared if policy != REFERENCE] if REFERENCE in shared else []
    return {
        "benchmarks": list(measured),
        "policies": {policy: mean_of_policy(benchmarks, policy) for policy in shared},
        "differences": {policy: mean_difference(benchmarks, policy) for policy in compared},
    }


def mean_of_policy(benchmarks: Sequence[Measured], policy: str) -> dict[str, Any]:
    """Mean multi@k of one policy with its interval."""
    ratios = [solved_within(benchmark.outcomes[policy]) for benchmark in benchmarks]
    pairs = list(zip(ratios, benchmarks, strict=True))
    sample_BK = np.mean([samples(ratio, benchmark.resampling) for ratio, benchmark in pairs], axis=0)
    ends_K2s = [interval(ratio, benchmark.resampling) for ratio, benchmark in pairs]
    return {
        "multi_at_k": plain(np.mean([ratio.value() for ratio in ratios], axis=0)),
        "ci95": plain(average_interval(sample_BK, ends_K2s)),
    }


def mean_difference(benchmarks: Sequence[Measured], policy: str) -> dict[str, Any]:
    """Mean multi@k of one policy minus the reference's, with its paired interval and p-value."""
    triples = [
        (solved_within(benchmark.outcomes[REFERENCE]), solved_within(benchmark.outcomes[policy]), benchmark.resampling)
        for benchmark in benchmarks
    ]
    difference_K = np.mean([after.value() - before.value() for before, after, _ in triples], axis=0)
    sample_BK = np.mean([samples(after, draws) - samples(before, draws) for before, after, draws in triples], axis=0)
    ends_K2s = [difference_interval(*triple) for triple in triples]
    permuted_BK = np.mean([permuted_differences(*triple) for triple in triples], axis=0)
    return {
        "multi_at_k": plain(difference_K),
        "ci95": plain(average_interval(sample_BK, ends_K2s)),
        "p_value": plain(permutation_p_value(difference_K, permuted_BK)),
    }


def average_interval(sample_BK: np.ndarray, ends_K2s: Sequence[np.ndarray]) -> np.ndarray:
    """The bootstrap's interval of a mean over benchmarks; the benchmark's own where there is but one.

    Where all resamples are the same (every benchmark at 0 or 100 %), the mean of the benchmarks' own ends: that wide
    the interval is even if all of them err to the same side.

    Args:
        sample_BK: the mean in each bootstrap sample.
        ends_K2s: the interval of each benchmark.
    """
    bootstrap_K2, own_K2 = percentiles(sample_BK), np.mean(ends_K2s, axis=0)
    is_point_K1 = bootstrap_K2[:, :1] == bootstrap_K2[:, 1:]
    return np.where(is_point_K1 | (len(ends_K2s) == 1), own_K2, bootstrap_K2)
