"""What a plan rests on, and what would go wrong, in sentences."""

from collections.abc import Iterator

import psutil

from drift.planning import problem_sizes
from drift.planning.disk import number_bytes, small_disk
from drift.planning.reckoning import Reckoning
from drift.planning.sampling import BANDWIDTH_SHARE, ENGINE_START_SECONDS, STEP_SECONDS
from drift.planning.training import RECOMPUTATION, fewest_processes

_GIB = 2**30


def assumptions(reckoning: Reckoning) -> Iterator[str]:
    """What was taken for granted."""
    told = reckoning.settings.plan
    yield f"the GPUs are {reckoning.gpu_from}; the model's shape is from {reckoning.shape_from}."
    yield from problem_sizes.assumptions(reckoning.sizes)
    yield (
        f"conversations: {told.response_tokens} tokens a response (the limit where that is lower), "
        f"{told.solved_at_first:.0%} solved at the first turn and {told.solved_later:.0%} of the rest at each later "
        "one, whatever the benchmark and policy; at most: no turn is right, and every response is cut, which bounds "
        "tokens, while hours are estimates in either case."
    )
    if told.sampling_tokens_per_second is None:
        yield (
            f"sampling: {BANDWIDTH_SHARE:.0%} of the memory's bandwidth, {1000 * STEP_SECONDS:.0f} ms around each "
            f"step, {ENGINE_START_SECONDS} s to start the engine; no prompt is in its cache yet, verdicts take no time."
        )
    else:
        yield f"sampling: {told.sampling_tokens_per_second:,.0f} tokens a second of each GPU, as plan says."
    yield (
        f"training: {told.mfu:.0%} of the peak, {RECOMPUTATION:.2f} times as long where layers are computed again; no "
        "example is pruned or dropped; saving states takes no time."
    )


def warnings(reckoning: Reckoning) -> Iterator[str]:
    """What a run would refuse, what does not fit, and what may be overlooked."""
    for refusal in reckoning.refusals:
        yield f"a run would refuse this. {refusal}"
    yield from _of_context(reckoning)
    yield from _of_sampling(reckoning)
    yield from _of_training(reckoning)
    yield from small_disk(reckoning.settings.working_directory, "a run", reckoning.disk.total / _GIB)


def _of_context(reckoning: Reckoning) -> Iterator[str]:
    context = reckoning.shape.max_context_tokens
    if context is not None and reckoning.longest > context:
        yield (
            f"the longest conversation may come to {reckoning.longest:,.0f} tokens, and the model's context is "
            f"{context:,}: a run would refuse problems that long; lower max_new_tokens or protocol.max_turns."
        )


def _of_sampling(reckoning: Reckoning) -> Iterator[str]:
    engine, longest = reckoning.engine, reckoning.longest
    if reckoning.shape.attention_heads % engine.spread:
        yield f"{engine.spread} GPUs (rollout.engine.tensor_parallel_size) cannot share the model's heads equally."
    if not engine.at_once(longest):
        needed = longest * engine.cache_bytes_per_token / _GIB
        yield (
            f"SAMPLING DOES NOT FIT: {engine.spread} x {reckoning.gpu.name} has "
            f"{max(0.0, engine.cache_bytes / _GIB):.1f} GiB left beside the weights, and one conversation may need "
            f"{needed:.1f} GiB: raise rollout.engine.tensor_parallel_size."
        )


def _of_training(reckoning: Reckoning) -> Iterator[str]:
    trainer, rollout, gpu = reckoning.trainer, reckoning.rollout, reckoning.gpu
    if not reckoning.training_fits:
        needed = trainer.memory_bytes(rollout, trainer.recomputes(rollout)) / _GIB
        fewest = fewest_processes(trainer, rollout)
        ways = [] if fewest is None else [f"use {fewest} GPUs (training.processes and hosts; plan.gpus here)"]
        if trainer.state_bytes < gpu.memory_bytes:
            ways.append("lower training.micro_batch_tokens")
        ways.append("train adapters (training.lora)")
        yield (
            f"TRAINING DOES NOT FIT: a process needs {needed:.0f} GiB, {trainer.state_bytes / _GIB:.0f} of them for "
            f"weights, gradients and moments, and one {gpu.name} has {gpu.memory_bytes / _GIB:.0f}: "
            f"{' or '.join(ways)}."
        )
    asked = trainer.training.processes
    if asked is not None and asked > reckoning.num_gpus:
        yield f"training.processes is {asked}, and a host has {reckoning.num_gpus} GPUs: lower it."
    of_host = trainer.processes // trainer.training.hosts
    if trainer.processes > 1:
        loaded = of_host * reckoning.shape.num_weights * number_bytes(reckoning.settings.model.dtype)
        yield (
            f"each of the {of_host} processes of a host loads the model by itself at the start: {loaded / _GIB:.0f} "
            f"GiB of its memory (this machine has {psutil.virtual_memory().total / _GIB:.0f})."
        )
