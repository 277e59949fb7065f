"""From the cells of a study to its results: policies side by side, on every benchmark, with intervals.

Seeds that a policy lacks are visible (`seeds`), and a difference is taken over the seeds that both policies have. What
is not defined is null, never NaN.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from drift.evaluation.averages import names_by_domain
from drift.evaluation.chance import chance_with_repetition, chance_without_repetition
from drift.evaluation.outcomes import REFERENCE
from drift.evaluation.plain import plain
from drift.evaluation.ratios import METRICS
from drift.evaluation.score import by_turn_or_one
from drift.runs.code import package_versions
from drift.study.cell import CellResult
from drift.study.made_of import composition_over_seeds, costs_over_seeds
from drift.study.measured import OfSeeds, differences, measure, refuse_unusable_cells
from drift.study.pooled import Part, pooled
from drift.study.sweeps import sweeps_of


def study_results(
    cells: Sequence[CellResult],
    baseline: str,
    swept: str,
    sweeps: Collection[str] = (),
    num_samples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """The results of a study, as plain JSON.

    Args:
        cells: the finished ones, of one study.
        baseline: the variant that others are compared with, besides the reference; it may be missing.
        swept: the variant whose values the sweeps replace; it may be missing.
        sweeps: the parameters that are swept, also where all their values are variants.
        num_samples: resamples of the problems behind each 95 % interval.
        seed: of the resampling.

    Returns:
        `study`, `asked` (model, problems, protocol, evaluation), `packages` (their versions), `max_turns`, `seeds`
        (all), `baseline` (null where it is missing) · `benchmarks`: by name, `domain`,
        `problems` (by seed) and `chance` · `averages`: by domain, the benchmarks it is over · `policies`: by name,
        the reference first: `seeds`, `swept`, `settings`, `composition`, `costs` (the last four null for the reference)
        and `benchmarks`, `averages`: by name, `seeds` and the metrics, each with `value`, `ci95`, `by_seed` (lists over
        turns where it is one number a turn) · `differences`: by what is subtracted (the reference, the baseline) and by
        policy, the same `benchmarks` and `averages` · `sweeps`: by parameter, the points in order.

    Raises:
        UserError: when cells do not belong together.
    """
    refuse_unusable_cells(cells)
    measured = measure(cells, num_samples, seed)
    benchmarks = benchmarks_asked(cells)
    averages = averages_of(benchmarks)
    by_variant = {policy: [cell for cell in cells if cell["variant"] == policy] for policy in measured}
    compared = [policy for policy in (REFERENCE, baseline) if policy in measured]
    return {
        "study": cells[0]["study"],
        "asked": cells[0]["asked"],
        "packages": package_versions(),
        "max_turns": cells[0]["max_turns"],
        "seeds": sorted({cell["seed"] for cell in cells}),
        "baseline": baseline if baseline in measured else None,
        "benchmarks": benchmarks,
        "averages": averages,
        "policies": {
            policy: {
                "seeds": list(of_seeds),
                **made_of(by_variant[policy]),
                **over_seeds(of_seeds, list(benchmarks), averages),
            }
            for policy, of_seeds in measured.items()
        },
        "differences": {
            before: {
                policy: over_seeds(differences(measured[before], of_seeds), list(benchmarks), averages)
                for policy, of_seeds in measured.items()
                if policy not in (before, REFERENCE)
            }
            for before in compared
        },
        "sweeps": sweeps_of(cells, sweeps, swept),
    }


def benchmarks_asked(cells: Sequence[CellResult]) -> dict[str, dict[str, Any]]:
    """What each benchmark is: its domain, its problems by seed, and what guessing would reach."""
    benchmarks: dict[str, dict[str, Any]] = {}
    for cell in cells:
        for name, asked in cell["benchmarks"].items():
            choices_P = np.array(asked["num_choices"])
            chance = {
                "with_repetition": plain(chance_with_repetition(choices_P, cell["max_turns"])),
                "without_repetition": plain(chance_without_repetition(choices_P, cell["max_turns"])),
            }
            entry = benchmarks.setdefault(name, {"domain": asked["domain"], "problems": {}, "chance": None})
            entry["problems"][str(cell["seed"])] = len(choices_P)
            entry["chance"] = chance if choices_P.any() else None
    return benchmarks


def averages_of(benchmarks: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The averages that say something of their own: over several benchmarks, and not the same ones as all."""
    of_domain = names_by_domain(list(benchmarks), {name: entry["domain"] for name, entry in benchmarks.items()})
    return {
        domain: names
        for domain, names in of_domain.items()
        if len(names) > 1 and (domain == "all" or names != of_domain["all"])
    }


def made_of(cells: Sequence[CellResult]) -> dict[str, Any]:
    """What a variant was made of and what it took; nothing is known of the reference, which has no cells."""
    if not cells:
        return dict.fromkeys(("swept", "settings", "composition", "costs"))
    return {
        "swept": cells[0]["swept"],
        "settings": cells[0]["settings"],
        "composition": composition_over_seeds(cells),
        "costs": costs_over_seeds(cells),
    }


def over_seeds(
    of_seeds: OfSeeds, benchmarks: Sequence[str], averages: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """A policy, or a difference, on every benchmark and average it has; None where it has not."""
    return {
        "benchmarks": {name: pooled_metrics(of_seeds, [name]) for name in benchmarks},
        "averages": {domain: pooled_metrics(of_seeds, names) for domain, names in averages.items()},
    }


def pooled_metrics(of_seeds: OfSeeds, names: Sequence[str]) -> dict[str, Any] | None:
    """Every metric over the seeds that have all of the benchmarks; None where no seed has."""
    complete = {
        seed: [by_name[name] for name in names] for seed, by_name in of_seeds.items() if set(names) <= {*by_name}
    }
    if not complete:
        return None
    metrics = {
        metric: pooled_metric(metric, [[of[metric] for of in parts] for parts in complete.values()])
        for metric in METRICS
    }
    return {"seeds": list(complete), **metrics}


def pooled_metric(metric: str, parts_S: Sequence[Sequence[Part]]) -> dict[str, Any]:
    """One metric with its interval and the values of the seeds."""
    over = pooled(parts_S)
    return {
        "value": by_turn_or_one(metric, over.value_X),
        "ci95": by_turn_or_one(metric, over.ends_X2),
        "by_seed": [by_turn_or_one(metric, value_X) for value_X in over.value_SX],
    }
