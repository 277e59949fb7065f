"""Nodes of stage 1: the reference policy, the training problems, the trajectories."""

import logging
from typing import Any

import pandas as pd

from drift.model_directory import ModelDirectory
from drift.parameters import (
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RolloutParameters,
    Seed,
    WorkingDirectory,
)
from drift.pipelines.problem_frames import from_frame, to_frame
from drift.shards import Shards

logger = logging.getLogger(__name__)


def prepare_reference_model(model: ModelParameters, working_directory: WorkingDirectory) -> ModelDirectory:
    """Brings the reference policy onto this machine."""
    from drift.rollout.reference import prepare_reference_model

    return prepare_reference_model(model, working_directory.root)


def load_train_problems(
    problems: ProblemsParameters,
    protocol: ProtocolParameters,
    rollout: RolloutParameters,
    model: ModelParameters,
    reference_model: ModelDirectory,
    seed: Seed,
) -> pd.DataFrame:
    """Loads and checks the training problems; of a published set, none that is evaluated."""
    from drift.problems.sources import load_train_problems, published_names
    from drift.rollout.checks import check_problems

    loaded = load_train_problems(problems.train, problems.evaluation_sources, seed.root)
    published = published_names([problems.train])
    return to_frame(check_problems(loaded, reference_model, model, protocol, rollout.max_new_tokens, published))


def sample_trajectories(
    train_problems: pd.DataFrame,
    reference_model: ModelDirectory,
    model: ModelParameters,
    protocol: ProtocolParameters,
    rollout: RolloutParameters,
    seed: Seed,
    working_directory: WorkingDirectory,
) -> Shards:
    """Samples N trajectories of each training problem from the reference policy."""
    from drift.rollout.plan import Rollout
    from drift.rollout.sample import sample

    plan = Rollout(
        policy=reference_model,
        model=model,
        problems=from_frame(train_problems),
        protocol=protocol,
        num_trajectories=rollout.n,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        max_new_tokens=rollout.max_new_tokens,
        seed=seed.root,
        seed_per_request=rollout.seed_per_request,
    )
    logger.info(
        "Rollout: %d problems x %d trajectories, at most %d turns of %d tokens",
        len(train_problems),
        rollout.n,
        protocol.max_turns,
        rollout.max_new_tokens,
    )
    directory = working_directory.root / "rollout"
    return sample(plan, rollout.engine, rollout.rows_per_shard, directory, "sampling")


def summarize_rollout(trajectories: Shards) -> dict[str, Any]:
    """Counts what was sampled."""
    from drift.rollout.summary import rollout_summary

    return rollout_summary(trajectories)
