"""One process's part in a training, from the data to the result: it continues what an earlier one has left.

The result, a directory with the checkpoint and the training log, appears at once when it is complete.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from drift.errors import UserError
from drift.machine.machine import machine, machine_sentence
from drift.progress import progress_bar
from drift.shards import replace_durably
from drift.training.decoder_layers import checkpoint_activations, compile_layers
from drift.training.examples import Example
from drift.training.flops import ModelSize
from drift.training.held_out import split_by_problem
from drift.training.interruption import interruptible
from drift.training.job import TrainingJob
from drift.training.loop import DivergedError, Trainer
from drift.training.lora import add_adapter, save_with_adapter
from drift.training.master_weights import MasterWeights
from drift.training.memory import activation_bytes_per_token, needs_activation_checkpointing
from drift.training.model import PackedPolicy, load_policy, save_policy
from drift.training.optimizer import NamedAdamW
from drift.training.packing import most_tokens
from drift.training.processes import Processes
from drift.training.sharded_weights import ShardedWeights
from drift.training.states import States
from drift.training.step_log import StepLog
from drift.training.tracking import Track, tracked

if TYPE_CHECKING:
    from peft import PeftModel
    from tqdm import tqdm

logger = logging.getLogger(__name__)

RESULT, CHECKPOINT, LOG, MADE_WITH = "result", "checkpoint", "log.json", "made_with.json"
_MOST_NAMED = 8


class InterruptedTraining(Exception):
    """Someone asked the training to stop, and its state is saved.

    Attributes:
        number: of the signal.
    """

    def __init__(self, sentence: str, number: int) -> None:
        super().__init__(sentence)
        self.number = number


def train(job: TrainingJob, examples: Sequence[Example], directory: Path, processes: Processes) -> None:
    """Trains to the end, from where an earlier process stopped, and puts the result into `directory`.

    Args:
        job: what is trained; the same in all processes.
        examples: its data.
        directory: the training's own, which all processes can reach.
        processes: who trains.

    Raises:
        UserError: when training diverges, the disk is full, or the model cannot be trained.
        InterruptedTraining: after Ctrl-C or SIGTERM.
    """
    stops = (InterruptedTraining, KeyboardInterrupt)
    with tracked(job, directory, directory / RESULT, processes, stops) as track:
        asked = _train(job, examples, directory, processes, track)
    if asked:  # whoever asked meant the whole run, not this training alone
        raise InterruptedTraining(f"Interrupted in the last step: the training is finished, in {directory}.", asked)


def _train(job: TrainingJob, examples: Sequence[Example], directory: Path, processes: Processes, track: Track) -> int:
    """Trains to the end, and says which signal came in the last step; 0 for none."""
    held_out_share = job.training.held_out.share if job.training.held_out else 0.0
    trained_on, held_out = split_by_problem(examples, held_out_share, job.seed)
    with ExitStack() as stack:
        interruption = stack.enter_context(interruptible())
        trainer, adapter = _prepare(job, trained_on, processes)
        states, tensors = States(directory, processes), trainer.optimizer.tensors()
        states.refuse_full_disk(tensors)
        done, log = states.load(tensors)
        _continue(trainer, done)
        track(log)
        asked = 0
        bar = stack.enter_context(progress_bar("training", job.training.steps, "step", done, processes.rank > 0))
        try:
            for row in trainer.steps(trained_on, done):
                log.append(asdict(_measured(row, trainer, held_out)))
                track(log)
                _show(bar, row)
                asked = max(processes.gather(interruption.number))
                if row.step < job.training.steps and (asked or row.step % job.training.checkpoint_every == 0):
                    states.save(row.step, tensors, log)
                if row.step < job.training.steps and asked:
                    raise InterruptedTraining(
                        f"Interrupted: {row.step} of {job.training.steps} steps are made and kept in {directory}; the "
                        "same command continues.",
                        asked,
                    )
        except DivergedError as error:
            raise UserError(_diverged(error, states)) from error
        except torch.OutOfMemoryError as error:
            raise UserError(
                "The GPU's memory does not suffice for training: lower training.micro_batch_tokens, set "
                "training.activation_checkpointing to true, use more GPUs (training.processes), or train adapters "
                "(training.lora)."
            ) from error
    _finish(job, trainer, adapter, log, directory)
    states.clear()
    return asked


def _prepare(job: TrainingJob, examples: Sequence[Example], processes: Processes) -> "tuple[Trainer, PeftModel | None]":
    """The policy as it is trained here, and its adapter if that is what is trained."""
    training = job.training
    alone, computing_dtype = processes.size == 1, getattr(torch, training.precision)
    torch.manual_seed(job.seed)
    place = processes.device if alone else torch.device("cpu")
    policy = load_policy(job.policy.path, place, job.model.trust_remote_code, job.policy.adapter)
    adapter = add_adapter(policy.model, training.lora) if training.lora else None
    size = ModelSize.of(policy)
    automatic = training.activation_checkpointing is None
    activations = activation_bytes_per_token(policy, computing_dtype, processes.device) if automatic else 0.0
    if training.activation_checkpointing:
        checkpoint_activations(policy.model)
    if training.compile:
        compile_layers(policy.model)
    weights = (
        MasterWeights(policy.model, computing_dtype)
        if alone
        else ShardedWeights(policy, computing_dtype, processes.device)
    )
    optimizer = NamedAdamW(weights.by_name, training)
    if automatic:
        budget = most_tokens(training.micro_batch_tokens, processes.device)
        longest = max(budget, *(len(example.token_ids) for example in examples))
        _checkpoint_if_needed(policy, weights, activations, longest, processes)
    return Trainer(policy, weights, optimizer, training, job.prune_below, job.seed, processes, size), adapter


def _checkpoint_if_needed(
    policy: PackedPolicy,
    weights: MasterWeights | ShardedWeights,
    bytes_per_token: float,
    longest_pack: int,
    processes: Processes,
) -> None:
    """All processes keep activations, or none."""
    gradients = sum(weight.numel() * weight.element_size() for weight in weights.by_name.values()) // processes.size
    needed = needs_activation_checkpointing(bytes_per_token, longest_pack, gradients, processes.device)
    (anywhere,) = processes.sum([float(needed)])
    if anywhere:
        checkpoint_activations(policy.model)
        if processes.rank == 0:
            gibibytes = bytes_per_token * longest_pack / 2**30
            logger.info("Activations of %.1f GiB would not fit: layers are computed again on the way back", gibibytes)


def _continue(trainer: Trainer, done: int) -> None:
    """Puts the state that was read into use."""
    if done:
        trainer.optimizer.continue_after(done)
        trainer.weights.publish()
        if trainer.processes.rank == 0:
            logger.info("Training goes on after step %d of %d", done, trainer.training.steps)


def _measured(row: StepLog, trainer: Trainer, held_out: Sequence[Example]) -> StepLog:
    """The row, with the held-out loss where it is due."""
    settings = trainer.training.held_out
    if settings is None or (row.step % settings.every and row.step < trainer.training.steps):
        return row
    return replace(row, held_out_loss=trainer.held_out_loss(held_out))


def _show(bar: "tqdm[Any]", row: StepLog) -> None:
    mean = "" if row.weighted_mean_loss is None else f", weighted {row.weighted_mean_loss:.3f}"
    used = "" if row.mfu is None else f", MFU {row.mfu:.0%}"
    bar.set_postfix_str(
        f"loss {row.loss:.3f}{mean}, gradient {row.gradient_norm:.2g}, ESS {row.effective_sample_size:.1f}, "
        f"{row.tokens_per_second:,.0f} tokens/s{used}",
        refresh=False,
    )
    bar.update()


def _diverged(error: DivergedError, states: States) -> str:
    named = ", ".join(error.problem_ids[:_MOST_NAMED])
    if len(error.problem_ids) > _MOST_NAMED:
        named += f" and {len(error.problem_ids) - _MOST_NAMED} more"
    kept = states.paths()
    good = f"the last good state is {kept[-1]}" if kept else "no state was saved before"
    return (
        f"Training diverged at {error} on the problems {named}: lower training.learning_rate or "
        f"look at these problems; {good}."
    )


def _finish(
    job: TrainingJob,
    trainer: Trainer,
    adapter: "PeftModel | None",
    log: Sequence[dict[str, Any]],
    directory: Path,
) -> None:
    """Puts the result together; all processes give their shards, the first one writes."""
    weights = trainer.weights.full(torch.float32 if adapter else getattr(torch, job.model.dtype))
    if trainer.processes.rank == 0:
        partial = directory / f".{RESULT}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        (partial / CHECKPOINT).mkdir(parents=True)
        if adapter is None:
            save_policy(trainer.policy.model, weights, job.policy.path, partial / CHECKPOINT)
        else:
            save_with_adapter(adapter, weights, job, partial / CHECKPOINT)
        (partial / LOG).write_text(json.dumps(list(log)))
        # A later run that finds the training finished may have other settings of speed, and another machine.
        settings = json.loads(job.training.model_dump_json(exclude={"mlflow"}))
        (partial / MADE_WITH).write_text(json.dumps({"training": settings, "machine": machine_sentence(machine())}))
        replace_durably(partial, directory / RESULT)
    trainer.processes.wait()
