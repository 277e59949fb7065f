"""A training that is killed again and again: a program of its own, because it forks before torch has threads.

    python killed_training.py ROOT WEIGHTED_TURNS REFERENCE KILLS SIGNAL

Trains once undisturbed, then with kills at random moments, each time by the same call; a training that gets to its end
is followed by another, until there were as many kills as asked for and one more end. Prints all results, the last saved
step at each kill, and what lies in the directories at the end, as JSON.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

import torch

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, TrainingParameters, WeightingParameters
from drift.shards import Shards
from drift.training import flops, launch, lora, session, states, tracking, worker  # noqa: F401 - loaded before forking
from drift.training.policy import train_policy

TRAINING = TrainingParameters(
    steps=45, batch_size=8, learning_rate=3e-3, checkpoint_every=3, micro_batch_tokens=128, held_out={"every": 10}
)


def train(root: Path, turns: Path, reference: Path) -> str:
    policy = ModelDirectory(reference, {"path": "tiny", "fingerprint": "tiny"})
    model = ModelParameters(path="tiny", dtype="float32")
    weighting = WeightingParameters(prune_below=0.05)
    checkpoint, log = train_policy(Shards.open(turns), policy, model, TRAINING, weighting, 0, root)
    losses = [(row["step"], row["weighted_loss"], row["gradient_norm"], row["held_out_loss"]) for row in log]
    return json.dumps([checkpoint.fingerprint, losses])


def child(root: Path, turns: Path, reference: Path) -> int:
    """Forks a process that trains; it writes its result when it gets to its end."""
    process_id = os.fork()
    if process_id == 0:
        with (root.parent / f"{root.name}.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        status = 1
        try:
            result = train(root, turns, reference)
            root.with_suffix(".json").write_text(result)
            status = 0
        except SystemExit as stop:
            status = int(str(stop))
        finally:
            os._exit(status)
    return process_id


def saved_step(directory: Path) -> int:
    """The last step whose state is saved, 0 before the first."""
    return max([0, *(int(path.name.removeprefix("state-")) for path in directory.glob("*/state-*"))])


def wait_for_a_moment(moments: random.Random, directory: Path, process_id: int, longest: float) -> None:
    """A random time: in one of four cases from the start of the process, in the others from its first saved state on.

    However slow a machine is, most kills then hit a training that is going on.
    """
    if moments.random() < 0.75:
        before, deadline = saved_step(directory), time.monotonic() + 60
        while saved_step(directory) == before and time.monotonic() < deadline and has_not_ended(process_id):
            time.sleep(0.002)
    time.sleep(moments.uniform(0, longest / 4))


def has_not_ended(process_id: int) -> bool:
    """Whether a child is at work; one that has ended is left for the one who waits for it."""
    return os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def kill_at_random(root: Path, turns: Path, reference: Path, kills: int, number: int, longest: float) -> dict:
    """Begins trainings and kills them within `longest` seconds."""
    moments = random.Random(0)
    steps: list[int] = []
    results: list[str] = []
    finished = 0
    while len(steps) < kills or not finished:
        directory = root / f"disturbed-{len(results)}"
        directory.mkdir(exist_ok=True)
        process_id = child(directory, turns, reference)
        if len(steps) < kills:
            wait_for_a_moment(moments, directory, process_id, longest)
        finished, _ = os.waitpid(process_id, os.WNOHANG if len(steps) < kills else 0)
        if finished:
            results.append(directory.with_suffix(".json").read_text())
        else:
            os.kill(process_id, number)
            os.waitpid(process_id, 0)
            steps.append(saved_step(directory))
    return {"results": results, "steps": steps}


def main() -> None:
    root, turns, reference = (Path(argument) for argument in sys.argv[1:4])
    kills, number = int(sys.argv[4]), int(sys.argv[5])
    torch.set_num_threads(1)
    undisturbed = root / "undisturbed"
    undisturbed.mkdir()
    started = time.monotonic()
    os.waitpid(child(undisturbed, turns, reference), 0)
    outcome = kill_at_random(root, turns, reference, kills, number, 0.5 * (time.monotonic() - started))
    left = sorted({path.name for path in root.glob("disturbed-*/*/*")})
    print(json.dumps({"undisturbed": undisturbed.with_suffix(".json").read_text(), "left": left, **outcome}))


if __name__ == "__main__":
    main()
