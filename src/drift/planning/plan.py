"""The plan of a run in numbers: sampling, training and evaluation, before anything is spent."""

from typing import Any

from drift.planning.disk import number_bytes
from drift.planning.reckoning import Reckoning, Settings, reckon
from drift.planning.sampling import ENGINE_START_SECONDS
from drift.planning.sentences import assumptions, warnings
from drift.planning.studies import ASSUMPTION, plans_of_many_runs

_GIB, _MIB = 2**30, 2**20


def plan(settings: Settings) -> dict[str, Any]:
    """What a run under these settings would take. Nothing is downloaded, started or loaded.

    Returns:
        `model`, `gpu`, `sampling`, `training`, `evaluation` (counts, tokens, GiB and hours, expected and at most),
        `disk`, `hours`, `study`, `refresh` (what these pipelines would take, None where they cannot be made),
        `assumptions` and `warnings` (sentences). Hours are None where it does not fit.

    Raises:
        UserError: when the model's shape or this machine's GPU is not known.
    """
    reckoning = reckon(settings)
    gpu = reckoning.gpu
    made = {
        "model": _model(reckoning),
        "gpu": {"name": gpu.name, "count": reckoning.num_gpus, "memory_gib": gpu.memory_bytes / _GIB}
        | {"from": reckoning.gpu_from},
        "sampling": _sampling(reckoning),
        "training": _training(reckoning),
        "evaluation": _evaluation(reckoning),
        "disk": _disk(reckoning),
    }
    many_runs, of_many_runs = plans_of_many_runs(settings, made)
    sentences = {
        "assumptions": [*assumptions(reckoning), ASSUMPTION],
        "warnings": [*warnings(reckoning), *of_many_runs],
    }
    return {**made, "hours": _total_hours(made), **many_runs, **sentences}


def _model(reckoning: Reckoning) -> dict[str, Any]:
    model, shape = reckoning.settings.model, reckoning.shape
    return {
        "path": model.path,
        "shape_from": reckoning.shape_from,
        "weights": shape.num_weights,
        "trained_weights": shape.num_trained,
        "weights_gib": shape.num_weights * number_bytes(model.dtype) / _GIB,
        "max_context_tokens": shape.max_context_tokens,
    }


def _sampling(reckoning: Reckoning) -> dict[str, Any]:
    engine, rollout = reckoning.engine, reckoning.rollout
    expected, most = rollout.expected_tokens, rollout.most_tokens
    of_token = engine.cache_bytes_per_token / _MIB
    return {
        "problems": reckoning.sizes.train.count,
        "trajectories": rollout.count,
        "turns": {"expected": rollout.expected_turns, "most": rollout.max_turns},
        "sampled_tokens": {"expected": rollout.expected_responses, "most": rollout.most_responses},
        "conversation_tokens": {"expected": expected, "most": most},
        "copies": engine.copies,
        "gpus_a_copy": engine.spread,
        "cache_gib_a_copy": max(0.0, engine.cache_bytes / _GIB),
        "cache_mib_a_conversation": {"expected": expected * of_token, "most": most * of_token},
        "conversations_at_once": {
            "expected": engine.copies * engine.at_once(expected),
            "least": engine.copies * engine.at_once(most),
        },
        "hours": {
            "expected": _engine_hours(1, [engine.expected_seconds(rollout)]),
            "most": _engine_hours(1, [engine.most_seconds(rollout)]),
        },
    }


def _training(reckoning: Reckoning) -> dict[str, Any]:
    trainer, rollout = reckoning.trainer, reckoning.rollout
    examples = trainer.training.steps * trainer.training.batch_size
    fits = reckoning.training_fits
    return {
        "steps": trainer.training.steps,
        "examples": examples,
        "passes_over_the_data": examples / rollout.count if rollout.count else None,
        "processes": trainer.processes,
        "tokens": {"expected": examples * rollout.expected_tokens, "most": examples * rollout.most_tokens},
        "state_gib": trainer.state_bytes / _GIB,
        "pack_tokens": trainer.pack_tokens(rollout),
        "memory_gib": trainer.memory_bytes(rollout, recomputed=False) / _GIB,
        "memory_gib_recomputed": trainer.memory_bytes(rollout, recomputed=True) / _GIB,
        "recomputed": trainer.recomputes(rollout),
        "hours": {
            "expected": trainer.expected_seconds(rollout) / 3600 if fits else None,
            "most": trainer.most_seconds(rollout) / 3600 if fits else None,
        },
    }


def _evaluation(reckoning: Reckoning) -> dict[str, Any]:
    engine, held_out, policies = reckoning.engine, reckoning.held_out, reckoning.policies
    return {
        "problems": {size.name: size.count for size in reckoning.sizes.evaluation},
        "policies": policies,
        "conversations": policies * sum(part.count for part in held_out),
        "sampled_tokens": {
            "expected": policies * sum(part.expected_responses for part in held_out),
            "most": policies * sum(part.most_responses for part in held_out),
        },
        "hours": {
            "expected": _engine_hours(policies, [engine.expected_seconds(part) for part in held_out]),
            "most": _engine_hours(policies, [engine.most_seconds(part) for part in held_out]),
        },
    }


def _disk(reckoning: Reckoning) -> dict[str, float]:
    parts = ("states", "checkpoint", "trajectories", "conversations", "total")
    return {f"{name}_gib": getattr(reckoning.disk, name) / _GIB for name in parts}


def _engine_hours(starts: int, seconds: list[float | None]) -> float | None:
    """Of so many starts of the engine, each followed by the same work; None where it does not fit."""
    work = _sum(seconds)
    return None if work is None else starts * (ENGINE_START_SECONDS + work) / 3600


def _total_hours(made: dict[str, Any]) -> dict[str, float | None]:
    """Of the whole job, of all GPUs together, and of one more policy trained on the same trajectories."""
    stages = {name: made[name]["hours"] for name in ("sampling", "training", "evaluation")}
    expected, most = (_sum([hours[size] for hours in stages.values()]) for size in ("expected", "most"))
    evaluation, training = stages["evaluation"]["expected"], stages["training"]["expected"]
    of_policy = None if evaluation is None else evaluation / made["evaluation"]["policies"]
    gpus = max(made["gpu"]["count"], made["training"]["processes"])
    return {
        "expected": expected,
        "most": most,
        "gpu_hours": None if expected is None else gpus * expected,
        "another_variant": _sum([training, of_policy]),
    }


def _sum(numbers: list[float | None]) -> float | None:
    """None where any of them is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
