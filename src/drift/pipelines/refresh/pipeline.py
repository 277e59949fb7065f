"""Rounds of rollout, weighting and training, each from the policy that the round before has left (D.5)."""

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Pipeline

from drift.pipelines.evaluation.pipeline import create_pipeline as evaluation
from drift.pipelines.instances import REFERENCE, instance_of
from drift.pipelines.rollout.pipeline import create_pipeline as rollout
from drift.pipelines.training.nodes import train_policy
from drift.pipelines.training.pipeline import create_pipeline as training
from drift.pipelines.weighting.pipeline import create_pipeline as weighting

NAMESPACE = "refresh"
_EVALUATED = ("multi_at_k", "multi_at_k_chart", "correction_rate_chart", "conversation_viewer")


def create_pipeline(rounds: int) -> Pipeline:
    """All rounds, then the evaluation of the last policy beside the first.

    Args:
        rounds: how many; each has its share of the steps in `params:refresh.round_<number>.training`.
    """
    namespaces = [f"{NAMESPACE}.round_{number}" for number in range(1, rounds + 1)]
    names = {name: name for name in ("train_problems", "params:seed", "params:weighting")}
    return (
        rollout().only_nodes("prepare_reference_model_node", "load_train_problems_node")
        + rounds_of_training(namespaces, names)
        + instance_of(
            evaluation().to_outputs(*_EVALUATED), NAMESPACE, {**names, "checkpoint": f"{namespaces[-1]}.checkpoint"}
        )
    )


def rounds_of_training(
    namespaces: Sequence[str], names: dict[str, str], train: Callable[..., Any] = train_policy
) -> Pipeline:
    """Rollout, weighting and training of each round; the next one samples from what it leaves, and goes on from it.

    Args:
        namespaces: one of each round; `<namespace>.checkpoint` is what it leaves.
        names: what lies outside of them. With `trajectories` among them, the first round is not sampled. Later rounds
            have a seed of their own, `<namespace>.seed`.
        train: `train_policy`, or what takes its place with the same arguments and results.
    """
    rounds: list[Pipeline] = []
    for namespace in namespaces:
        if "trajectories" not in names:
            rounds.append(instance_of(rollout().only_nodes("sample_trajectories_node"), namespace, names))
        trained = (weighting() + training(train)).to_outputs("weighting_summary", "checkpoint")
        rounds.append(instance_of(trained, namespace, names))
        names = {name: target for name, target in names.items() if name not in ("trajectories", "params:seed")}
        names[REFERENCE] = f"{namespace}.checkpoint"
    return Pipeline(rounds)
