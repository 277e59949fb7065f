"""The node of the dry run: what a run would take."""

from typing import Any

from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RefreshParameters,
    RolloutParameters,
    Seed,
    StudyParameters,
    TrainingParameters,
    WeightingParameters,
    WorkingDirectory,
)
from drift.plan_parameters import PlanParameters


def plan_run(
    seed: Seed,
    model: ModelParameters,
    problems: ProblemsParameters,
    protocol: ProtocolParameters,
    rollout: RolloutParameters,
    weighting: WeightingParameters,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
    study: StudyParameters,
    refresh: RefreshParameters,
    plan: PlanParameters,
    working_directory: WorkingDirectory,
) -> dict[str, Any]:
    """Reckons tokens, memory, disk and hours of the whole job, and spends nothing."""
    from drift.planning.plan import plan as planned
    from drift.planning.reckoning import Settings

    return planned(
        Settings(
            seed=seed.root,
            model=model,
            problems=problems,
            protocol=protocol,
            rollout=rollout,
            weighting=weighting,
            training=training,
            evaluation=evaluation,
            study=study,
            refresh=refresh,
            plan=plan,
            working_directory=working_directory.root,
        )
    )
