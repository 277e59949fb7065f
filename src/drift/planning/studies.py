"""What a study and a refresh would take, from what one run of the same parameters takes."""

from collections.abc import Mapping
from typing import Any

from drift.errors import UserError
from drift.planning.disk import small_disk
from drift.planning.reckoning import Settings
from drift.study.design import cells_of, steps_of_rounds

ASSUMPTION = (
    "study: all its results are counted, done or not; its trainings differ by their number of examples alone, whatever "
    "turns, targets or adapters a variant has."
)


def plans_of_many_runs(settings: Settings, made: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The plans of the pipelines that sample or train more than once.

    Args:
        settings: the parameters.
        made: `sampling`, `training` and `evaluation` of the plan of one run.

    Returns:
        `study` and `refresh`, None where they cannot be made; and in sentences, why not and where the disk is small.
    """
    plans: dict[str, Any] = {}
    sentences: list[str] = []
    for name, planned in (("study", study_plan), ("refresh", refresh_plan)):
        try:
            plans[name] = planned(settings, made)
            sentences += small_disk(settings.working_directory, f"a {name}", plans[name]["disk_gib"])
        except UserError as error:
            plans[name] = None
            sentences.append(f"--pipelines={name} would refuse this. {error}")
    return plans, sentences


def study_plan(settings: Settings, made: Mapping[str, Any]) -> dict[str, Any]:
    """How often a study samples, trains and evaluates, and its hours; see `plans_of_many_runs`.

    Returns:
        `name`; the counts `seeds`, `results`, `rollouts`, `trainings`, `evaluations`; `hours`, `expected` and at
        `most`; `disk_gib`, at most. Trainings differ by their number of examples alone: what a variant leaves out is
        known once it is sampled.

    Raises:
        UserError: when a variant cannot be made.
    """
    cells = cells_of({name: getattr(settings, name) for name in Settings.__dataclass_fields__})
    seeds = {cell.seed for cell in cells}
    rollouts = len({cell.seed for cell in cells if cell.data == "trajectories"}) + sum(
        cell.rounds - 1 for cell in cells
    )
    policies = made["evaluation"]["policies"]
    evaluations = len(cells) + len(seeds)  # the reference is asked once a seed
    examples = sum(cell.training.steps * cell.training.batch_size for cell in cells)
    times = {
        "sampling": rollouts,
        "training": examples / made["training"]["examples"],
        "evaluation": evaluations / policies,
    }
    trainings = sum(cell.rounds for cell in cells)
    return {
        "name": cells[0].study,
        "seeds": len(seeds),
        "results": len(cells),
        "rollouts": rollouts,
        "trainings": trainings,
        "evaluations": evaluations,
        "hours": _hours(made, **times),
        "disk_gib": _disk_gib(made["disk"], rollouts, trainings, times["evaluation"]),
    }


def refresh_plan(settings: Settings, made: Mapping[str, Any]) -> dict[str, Any]:
    """`rounds`, `hours` and `disk_gib` of a refresh: every round samples, and all share the steps of one training.

    Raises:
        UserError: when there are more rounds than steps.
    """
    rounds = settings.refresh.rounds
    steps_of_rounds(settings.training.steps, rounds)
    return {
        "rounds": rounds,
        "hours": _hours(made, sampling=rounds, training=1, evaluation=1),
        "disk_gib": _disk_gib(made["disk"], rounds, rounds, 1),
    }


def _disk_gib(disk: Mapping[str, float], rollouts: int, trainings: int, evaluations: float) -> float:
    """Everything is kept but states, which are cleared at the end of each training.

    Half of what a run writes of its trajectories is the rollout, half what is trained on.
    """
    kept = {"checkpoint": trainings, "trajectories": (rollouts + trainings) / 2, "conversations": evaluations}
    return disk["states_gib"] + sum(times * disk[f"{name}_gib"] for name, times in kept.items())


def _hours(made: Mapping[str, Any], **times: float) -> dict[str, float | None]:
    """Hours of so many times each stage of one run; None where one of them does not fit."""
    hours: dict[str, float | None] = {}
    for size in ("expected", "most"):
        parts = [(times[stage], made[stage]["hours"][size]) for stage in times]
        hours[size] = None if any(of_one is None for _, of_one in parts) else sum(n * of_one for n, of_one in parts)
    return hours
