"""Greedy conversations with each policy and, as a control, independent attempts without feedback.

Both go through the same scheduler that samples the training data.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from drift.errors import UserError
from drift.evaluation.outcomes import REFERENCE, TRAINED
from drift.model_directory import ModelDirectory, ancestry
from drift.parameters import EvaluationParameters, ModelParameters, ProtocolParameters, RolloutParameters
from drift.problems.problem import Problem
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA
from drift.rollout.plan import Rollout
from drift.rollout.sample import sample_together
from drift.shards import Shards, ShardStream


def evaluate_policies(
    problems: Sequence[Problem],
    policies: Mapping[str, ModelDirectory],
    model: ModelParameters,
    protocol: ProtocolParameters,
    evaluation: EvaluationParameters,
    rollout: RolloutParameters,
    seed: int,
    working_directory: Path,
) -> tuple[ShardStream, ShardStream]:
    """One greedy conversation per problem with each policy and, where asked for, independent attempts at it.

    The engine starts once for each policy; one whose conversations and attempts are all there is not asked again.

    Args:
        problems: held-out problems, of one benchmark or several.
        policies: name → model directory.
        model: number format of sampling.
        protocol: how it is asked.
        evaluation: the token limit and the number of attempts.
        rollout: how attempts are drawn; its engine settings and shard size are shared.
        seed: of the attempts.
        working_directory: where unfinished and finished conversations are kept.

    Returns:
        The conversations and the attempts, rows of `EVAL_TRAJECTORY_SCHEMA`; without attempts the second has no rows.
    """
    refuse_other_reference(policies)
    conversations, attempts = {}, {}
    for name, policy in policies.items():
        greedy = Rollout(policy, model, problems, protocol, 1, 0.0, 1.0, evaluation.max_new_tokens, seed=0)
        plans = {f"evaluating the {name} policy": greedy}
        if evaluation.attempts:
            plans[f"independent attempts of the {name} policy"] = independent_attempts(
                greedy, evaluation.attempts, rollout, seed
            )
        sampled = sample_together(plans, rollout.engine, rollout.rows_per_shard, working_directory)
        conversations[name] = sampled[0]
        if evaluation.attempts:
            attempts[name] = sampled[1]
    benchmarks = {problem.problem_id: problem.source for problem in problems}
    return _stream(conversations, benchmarks), _stream(attempts, benchmarks)


def independent_attempts(greedy: Rollout, num_attempts: int, rollout: RolloutParameters, seed: int) -> Rollout:
    """The control for an evaluation: the same problems and token limit, one turn, drawn as training data is."""
    return replace(
        greedy,
        protocol=greedy.protocol.model_copy(update={"max_turns": 1}),
        num_trajectories=num_attempts,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        seed=seed,
        seed_per_request=rollout.seed_per_request,
    )


def refuse_other_reference(policies: Mapping[str, ModelDirectory]) -> None:
    """Refuses to compare a checkpoint with a reference it was not trained from, directly or in rounds.

    Raises:
        UserError: when they do not belong together.
    """
    _, trained_from, *before = (policy["fingerprint"] for policy in ancestry(policies[TRAINED].provenance))
    if policies[REFERENCE].fingerprint not in (trained_from, *before):
        raise UserError(
            f"`checkpoint` was trained from another model ({trained_from}) than `reference_model` is now "
            f"({policies['reference'].provenance['path']}): set model.path to the model it was trained from and run "
            "prepare_reference_model_node, or train again."
        )


def _stream(shards_by_policy: Mapping[str, Shards], benchmarks: Mapping[str, str]) -> ShardStream:
    """What was sampled from each policy as one table; one without rows where nothing was."""
    provenance = {name: shards.provenance for name, shards in shards_by_policy.items()}
    tables = _labelled(shards_by_policy, benchmarks) if shards_by_policy else [EVAL_TRAJECTORY_SCHEMA.empty_table()]
    costs = {name: dict(shards.costs) for name, shards in shards_by_policy.items()}
    return ShardStream(tables, provenance, costs)


def _labelled(shards_by_policy: Mapping[str, Shards], benchmarks: Mapping[str, str]) -> Iterator[pa.Table]:
    """Shards with the policy and the benchmark written into every row."""
    for policy, shards in shards_by_policy.items():
        for table in shards.tables():
            sources = [benchmarks[problem_id] for problem_id in table["problem_id"].to_pylist()]
            columns = {"policy": [policy] * len(table), "benchmark": sources}
            labelled = pa.table(columns | dict(zip(table.column_names, table.columns, strict=True)))
            yield labelled.select(EVAL_TRAJECTORY_SCHEMA.names).cast(EVAL_TRAJECTORY_SCHEMA)
