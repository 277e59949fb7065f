"""Greedy conversations with each policy, through the same scheduler that samples the training data."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import EvaluationParameters, ModelParameters, ProtocolParameters, RolloutParameters
from drift.problems.problem import Problem
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA
from drift.rollout.plan import Rollout
from drift.rollout.sample import sample
from drift.shards import Shards, ShardStream


def evaluate_policies(
    problems: Sequence[Problem],
    policies: Mapping[str, ModelDirectory],
    model: ModelParameters,
    protocol: ProtocolParameters,
    evaluation: EvaluationParameters,
    rollout: RolloutParameters,
    working_directory: Path,
) -> ShardStream:
    """One greedy conversation per problem with each policy; a policy that was evaluated before is not asked again.

    Args:
        problems: held-out problems.
        policies: name → model directory.
        model: number format of sampling.
        protocol: how it is asked.
        evaluation: the token limit.
        rollout: its engine settings and shard size are shared.
        working_directory: where unfinished and finished conversations are kept.
    """
    refuse_other_reference(policies)
    conversations = {
        name: sample(
            Rollout(policy, model, problems, protocol, 1, 0.0, 1.0, evaluation.max_new_tokens, seed=0),
            rollout.engine,
            rollout.rows_per_shard,
            working_directory,
            f"evaluating the {name} policy",
        )
        for name, policy in policies.items()
    }
    benchmarks = {problem.problem_id: problem.source for problem in problems}
    provenance = {name: shards.provenance for name, shards in conversations.items()}
    costs = {name: dict(shards.costs) for name, shards in conversations.items()}
    return ShardStream(_labelled(conversations, benchmarks), provenance, costs)


def no_attempts() -> ShardStream:
    """No independent attempts: the control is off."""
    return ShardStream([EVAL_TRAJECTORY_SCHEMA.empty_table()], {})


def refuse_other_reference(policies: Mapping[str, ModelDirectory]) -> None:
    """Refuses to compare a checkpoint with a reference it was not trained from.

    Raises:
        UserError: when they do not belong together.
    """
    trained_from = policies["trained"].provenance["reference_model"]["fingerprint"]
    if trained_from != policies["reference"].fingerprint:
        raise UserError(
            f"`checkpoint` was trained from another model ({trained_from}) than `reference_model` is now "
            f"({policies['reference'].provenance['path']}): set model.path to the model it was trained from and run "
            "prepare_reference_model_node, or train again."
        )


def _labelled(conversations: Mapping[str, Shards], benchmarks: Mapping[str, str]) -> Iterator[pa.Table]:
    """Shards with the policy and the benchmark written into every row."""
    for policy, shards in conversations.items():
        for table in shards.tables():
            sources = [benchmarks[problem_id] for problem_id in table["problem_id"].to_pylist()]
            columns = {"policy": [policy] * len(table), "benchmark": sources}
            labelled = pa.table(columns | dict(zip(table.column_names, table.columns, strict=True)))
            yield labelled.select(EVAL_TRAJECTORY_SCHEMA.names).cast(EVAL_TRAJECTORY_SCHEMA)
