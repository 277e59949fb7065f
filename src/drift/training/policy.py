"""From weighted turns to a checkpoint that says what it was trained from."""

import gc
import json
import logging
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drift.errors import UserError
from drift.fingerprint import files_fingerprint
from drift.formats import with_sampling_format, with_training_format
from drift.model_directory import ADAPTER, ModelDirectory
from drift.parameters import ModelParameters, TrainingParameters, WeightingParameters
from drift.runs.code import package_versions
from drift.shards import Shards
from drift.training.examples import Example, examples_fingerprint, read_examples
from drift.training.job import TrainingJob
from drift.training.model_card import license_of, model_card, training_data
from drift.training.step_log import log_fingerprint
from drift.working_directory import begin_session, working_directory

logger = logging.getLogger(__name__)

_DESCRIPTION = "training"
MANY_VISITS = 20
"""Of one example, from which on a training is warned of: 7 examples that were seen 73 times each cost 22 points."""


def train_policy(
    weighted_turns: Shards,
    reference: ModelDirectory,
    model: ModelParameters,
    training: TrainingParameters,
    weighting: WeightingParameters,
    seed: int,
    root: Path,
) -> tuple[ModelDirectory, list[dict[str, Any]]]:
    """Fine-tunes the reference policy on weighted turns, or goes on where an earlier process stopped.

    Args:
        weighted_turns: the data.
        reference: the policy it was sampled from.
        model: number format of the checkpoint.
        training: the settings.
        weighting: for `prune_below`.
        seed: of the order of the data.
        root: under which every training has a directory of its own.

    Returns:
        The checkpoint, and the rows of `training_log`.

    Raises:
        UserError: when there is nothing to train on, the data comes from another policy, or training diverges.
        KeyboardInterrupt: after Ctrl-C, with the state saved; SystemExit: after SIGTERM.
    """
    refuse_other_policy(weighted_turns, reference)
    examples = read_examples(weighted_turns)
    model = with_sampling_format(model, reference.path, root.parent)
    training = with_training_format(training, reference.path, root.parent)
    job = TrainingJob(
        weighted_turns=weighted_turns.path.absolute(),
        reference=reference.path.absolute(),
        reference_provenance=reference.provenance,
        model=model,
        training=training,
        prune_below=weighting.prune_below,
        seed=seed,
    )
    facts = job.facts(examples_fingerprint(examples))
    with working_directory(root.absolute(), facts, _DESCRIPTION) as directory:
        result = directory / "result"
        if result.is_dir():
            logger.info("This training is finished already: its checkpoint in %s is used", result)
            _clear_states(directory)
        else:
            begin_session(directory, facts, _DESCRIPTION)
            _say_what_is_trained(examples, training)
            _run(job, examples, directory)
        checkpoint = result / "checkpoint"
        log, made_with = (json.loads((result / name).read_text()) for name in ("log.json", "made_with.json"))
    own: dict[str, Any] = {"adapter": "training.lora"} if (checkpoint / ADAPTER).is_dir() else {}
    content = {**own, "fingerprint": files_fingerprint(ModelDirectory(checkpoint, own).files())}
    provenance = content | training_provenance(
        job.reference_provenance, weighted_turns, made_with["training"], log, job.prune_below, job.seed
    )
    licence = license_of(reference.path)
    card = model_card(provenance, log, training_data(weighted_turns), made_with["machine"], licence)
    return ModelDirectory(checkpoint, provenance, card), log


def _run(job: TrainingJob, examples: Sequence[Example], directory: Path) -> None:
    """Trains here, or in processes of their own where there are several."""
    import torch

    from drift.training.launch import launch
    from drift.training.processes import Processes
    from drift.training.session import InterruptedTraining, train

    num_gpus = torch.cuda.device_count()
    processes = job.training.processes or max(1, num_gpus)
    if num_gpus and processes > num_gpus:
        raise UserError(
            f"training.processes: {processes} need as many GPUs, and there are {num_gpus}: lower it, or say null."
        )
    try:
        if processes * job.training.hosts == 1:
            train(job, examples, directory, Processes.alone())
        else:
            launch(job, directory, processes)
    except InterruptedTraining as interrupted:
        logger.warning("%s", interrupted)
        if interrupted.number == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + interrupted.number) from None
    finally:
        gc.collect()
        torch.cuda.empty_cache()  # evaluation starts an engine on the same GPU; without a GPU this does nothing


def _say_what_is_trained(examples: Sequence[Example], training: TrainingParameters) -> None:
    """The first line of a training, and a warning where its few examples are seen so often that they are learned by
    heart.
    """
    visits = training.steps * training.batch_size / len(examples)
    problems = len({example.problem_id for example in examples})
    logger.info(
        "Training: %d steps of %d from %d examples of %d problems; each is seen about %s times",
        training.steps,
        training.batch_size,
        len(examples),
        problems,
        f"{visits:.0f}" if visits >= 10 else f"{visits:.1f}",
    )
    if visits > MANY_VISITS:
        logger.warning(
            "Every example will be seen about %.0f times, and the policy may learn them by heart and lose what it "
            "could do: take more problems, a larger rollout.n, or fewer training.steps (%d show each %d times).",
            visits,
            max(1, MANY_VISITS * len(examples) // training.batch_size),
            MANY_VISITS,
        )


def _clear_states(directory: Path) -> None:
    """Removes what a process has left that was killed between its result and its end."""
    from drift.training.processes import Processes
    from drift.training.states import States

    States(directory, Processes.alone()).clear()


def training_provenance(
    reference: Mapping[str, Any],
    weighted_turns: Shards,
    settings: Mapping[str, Any],
    log: Iterable[Mapping[str, Any]],
    prune_below: float,
    seed: int,
) -> dict[str, Any]:
    """What a checkpoint says of its training.

    Args:
        reference: provenance of the policy it started from.
        weighted_turns: the data.
        settings: those it was made with.
        log: rows of `training_log`.
        prune_below: examples of a smaller weight were not computed.
        seed: of the run.
    """
    return {
        "reference_model": reference,
        "weighted_turns": {"path": str(weighted_turns.path), **weighted_turns.provenance},
        "training": settings,
        "training_log": log_fingerprint(log),
        "prune_below": prune_below,
        "seed": seed,
        "packages": package_versions(),
    }


def refuse_other_policy(weighted_turns: Shards, reference: ModelDirectory) -> None:
    """Refuses to train a policy on what another one said: its weights would mean nothing.

    Written solutions were said by none; theirs is the policy whose tokens they are in.

    Raises:
        UserError: when the data was sampled from another model.
    """
    sampled_from = weighted_turns.provenance["trajectories"]["model"]
    if sampled_from != reference.fingerprint:
        made = "written in the tokens of" if "solutions" in weighted_turns.provenance else "sampled from"
        raise UserError(
            f"`weighted_turns` was {made} another model ({sampled_from}) than `reference_model` is now "
            f"({reference.provenance['path']}, {reference.fingerprint}): set model.path to the model that was sampled "
            "and run prepare_reference_model_node, or sample again."
        )
