"""All cells of a study as measurements: every metric of every policy, benchmark and seed, with the draws they share."""

from collections.abc import Mapping, Sequence

from drift.errors import UserError
from drift.evaluation.outcomes import REFERENCE, TRAINED
from drift.evaluation.overlaps import shared_resamplings
from drift.evaluation.ratios import METRICS
from drift.evaluation.statistics import Resampling
from drift.study.cell import CellResult, outcomes_in
from drift.study.pooled import Difference, Measurement, Part, measurements

Metrics = Mapping[str, Part]
OfSeeds = Mapping[int, Mapping[str, Metrics]]
"""One policy, or one difference: by seed, benchmark and metric."""


def measure(cells: Sequence[CellResult], num_samples: int, seed: int) -> dict[str, OfSeeds]:
    """Every policy of a study: the reference, then the variants in the order of the cells.

    The reference's conversations are taken from the first cell of a seed that has them.

    Args:
        cells: of one study; see `refuse_unusable_cells`.
        num_samples: B, at least 1.
        seed: of the draws.
    """
    measured: dict[str, dict[int, dict[str, Metrics]]] = {REFERENCE: {}} | {cell["variant"]: {} for cell in cells}
    for (benchmark, of_seed), draws in resamplings(cells, num_samples, seed).items():
        asked = [cell for cell in cells if cell["seed"] == of_seed and benchmark in cell["benchmarks"]]
        with_reference = [cell for cell in asked if REFERENCE in cell["benchmarks"][benchmark]["policies"]]
        policies = {cell["variant"]: outcomes_in(cell, benchmark, TRAINED) for cell in asked}
        if with_reference:
            policies[REFERENCE] = outcomes_in(with_reference[0], benchmark, REFERENCE)
        ratios = {
            (policy, metric): ratio_of(outcomes)
            for policy, outcomes in policies.items()
            for metric, ratio_of in METRICS.items()
        }
        for (policy, metric), measurement in measurements(ratios, draws).items():
            of_policy = measured[policy].setdefault(of_seed, {}).setdefault(benchmark, {})
            measured[policy][of_seed][benchmark] = {**of_policy, metric: measurement}
    return {policy: dict(sorted(of_seeds.items())) for policy, of_seeds in measured.items() if of_seeds}


def differences(before: OfSeeds, after: OfSeeds) -> OfSeeds:
    """One policy minus another, on the seeds and benchmarks that both have."""
    return {
        seed: {
            benchmark: {metric: difference(before[seed][benchmark][metric], part) for metric, part in metrics.items()}
            for benchmark, metrics in after[seed].items()
            if benchmark in before[seed]
        }
        for seed in after
        if seed in before
    }


def difference(before: Part, after: Part) -> Difference:
    """Two measurements of the same problems as their difference."""
    if not (isinstance(before, Measurement) and isinstance(after, Measurement)):
        raise TypeError("A difference of differences has no interval here.")
    return Difference(before, after)


def resamplings(cells: Sequence[CellResult], num_samples: int, seed: int) -> dict[tuple[str, int], Resampling]:
    """The draws of every benchmark with every seed; a question that several of them ask is drawn for all."""
    questions = {
        (benchmark, cell["seed"]): tuple(asked["questions"])
        for cell in cells
        for benchmark, asked in cell["benchmarks"].items()
    }
    names = {of_benchmark: f"{benchmark} {of_seed}" for (benchmark, of_seed), of_benchmark in questions.items()}
    draws = shared_resamplings({name: asked for asked, name in names.items()}, num_samples, seed)
    return {key: draws[names[of_benchmark]] for key, of_benchmark in questions.items()}


def refuse_unusable_cells(cells: Sequence[CellResult]) -> None:
    """Refuses cells that are not of one study, each once, about the same problems with the same seed.

    Raises:
        UserError: naming the variant and the seed at fault.
    """
    if not cells:
        raise UserError("The study has no finished cell: run it with at least one variant and one seed.")
    seen: set[tuple[str, int]] = set()
    problem_ids: dict[tuple[str, int], list[str]] = {}
    trajectories: dict[int, str] = {}
    for cell in cells:
        where = f"Variant {cell['variant']!r} with seed {cell['seed']}"
        if cell["variant"] == REFERENCE:
            raise UserError("A variant cannot be called 'reference', the results use that name: give it another.")
        if (cell["variant"], cell["seed"]) in seen:
            raise UserError(f"{where} is among the cells twice: give each once.")
        if cell["max_turns"] != cells[0]["max_turns"] or cell["study"] != cells[0]["study"]:
            raise UserError(
                f"{where} is of study {cell['study']!r} with {cell['max_turns']} turns, others are of "
                f"{cells[0]['study']!r} with {cells[0]['max_turns']}: put only cells of one study side by side."
            )
        rollout = cell["trajectories"]
        if rollout is not None and trajectories.setdefault(cell["seed"], rollout) != rollout:
            raise UserError(
                f"{where} was trained on other trajectories than the variants before it, which were sampled again in "
                "between: remove the results of that seed (data/08_reporting/<study>.seed_<seed>.*) to make them anew, "
                "or take another study.name."
            )
        for benchmark, asked in cell["benchmarks"].items():
            ids = problem_ids.setdefault((benchmark, cell["seed"]), asked["problem_ids"])
            if ids != asked["problem_ids"]:
                raise UserError(
                    f"{where} was not asked the same problems of {benchmark!r} as the other variants of that seed: "
                    "evaluate all of a seed on the same ones, by running its cells again."
                )
        seen.add((cell["variant"], cell["seed"]))
