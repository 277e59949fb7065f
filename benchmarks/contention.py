"""Sampling and training beside busy processes: threads that wait as the libraries let them, and as we do.

    python benchmarks/contention.py                 # both engines and the training
    python benchmarks/contention.py --what training --rounds 3

Every measurement is a process of its own, begun alone, beside one and beside two processes that compute all the time.
`libraries` is what libgomp does by itself (long spinning), `ours` what `drift.machine.threads` decides when it looks at
the machine, `passive` threads that always sleep. `kept` is the throughput beside busy processes to the best that was
measured alone. The result is written to `benchmarks/contention.json`.
"""

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from default_run import busy, processor_flags
from engines import default_rollout

from drift.formats import with_training_format
from drift.machine.machine import machine
from drift.machine.number_formats import record_of_choices
from drift.parameters import EngineParameters, TrainingParameters
from drift.protocol.chat import chat_format_of
from drift.protocol.fit import refuse_too_long
from drift.rollout.kept_engine import EngineKeeper
from drift.rollout.plan import Rollout
from drift.rollout.sample import start_verifiers
from drift.rollout.scheduler import Conversation, run_problems

RESULT = Path(__file__).with_suffix(".json")
POLICIES: dict[str, dict[str, str]] = {
    "libraries": {"GOMP_SPINCOUNT": "300000"},
    "ours": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}
WHAT = ("transformers", "vllm", "training")
BUSY = (0, 1, 2)
SAID_BY_THIS_PROCESS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "DRIFT_CHOSE_HOW_TO_WAIT")
NUM_PROBLEMS = 12
STEPS, EXAMPLES, EXAMPLE_TOKENS = 3, 8, 116


async def sampling_rate(kind: Any, rollout: Rollout) -> float:
    """Response tokens/s, the second time the rollout is sampled."""
    keeper, rate = EngineKeeper(), 0.0
    chat = chat_format_of(rollout.policy.path, rollout.protocol)
    room = refuse_too_long(
        rollout.problems, chat, rollout.policy.path, rollout.protocol.max_turns, rollout.max_new_tokens
    )
    with start_verifiers() as verifiers:
        engine = await keeper.engine(rollout, EngineParameters(kind=kind), room, 0)
        for _ in range(2):  # the first one warms up
            conversation = Conversation(engine, chat, verifiers, rollout.sampling(chat), rollout.protocol.max_turns)
            begun = time.monotonic()
            async for _ in run_problems(conversation, rollout.problems, rollout.num_trajectories, lambda _: None):
                pass
            rate = conversation.costs.response_tokens / (time.monotonic() - begun)
        await keeper.stop()
    return rate


def training_rate(rollout: Rollout, work: Path) -> float:
    """Tokens/s of optimiser steps."""
    import numpy as np
    import torch

    from drift.training.examples import Example
    from drift.training.loop import accumulate
    from drift.training.master_weights import MasterWeights
    from drift.training.model import load_policy
    from drift.training.optimizer import NamedAdamW
    from drift.training.packing import packed

    training = TrainingParameters(steps=1, batch_size=EXAMPLES, learning_rate=1e-5)
    training = with_training_format(training, rollout.policy.path, work)
    policy = load_policy(rollout.policy.path, torch.device("cpu"))
    weights = MasterWeights(policy.model, getattr(torch, training.precision))
    optimizer = NamedAdamW(weights.by_name, training)
    ids = np.arange(EXAMPLE_TOKENS) + 100
    targets = np.arange(EXAMPLE_TOKENS - 12, EXAMPLE_TOKENS)
    pack = packed([Example(f"p{index}", 0, ids, targets, 1.0) for index in range(EXAMPLES)], torch.device("cpu"))

    def steps(number: int) -> None:
        for _ in range(number):
            accumulate(policy, pack, EXAMPLES)
            weights.collect_gradients()
            optimizer.step(1e-5)
            weights.publish()

    steps(1)
    begun = time.monotonic()
    steps(STEPS)
    return STEPS * EXAMPLES * EXAMPLE_TOKENS / (time.monotonic() - begun)


def measured_apart(what: str, policy: str, number: int, work: Path) -> dict[str, Any]:
    """One measurement in a process of its own, beside so many busy ones."""
    words = [sys.executable, __file__, "--one", what, "--work", str(work)]
    ours = {name: value for name, value in os.environ.items() if name not in SAID_BY_THIS_PROCESS}
    with busy(number):
        time.sleep(0.2)
        ended = subprocess.run(words, check=False, capture_output=True, text=True, env=ours | POLICIES[policy])
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    return {"what": what, "policy": policy, "busy": number, **json.loads(ended.stdout.splitlines()[-1])}


def summary(runs: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """Medians over the rounds: tokens/s by wait policy and busy processes, and what is kept of the best quiet one."""
    rates = {
        policy: {
            str(number): round(
                statistics.median(
                    run["rate"] for run in runs if (run["what"], run["policy"], run["busy"]) == (what, policy, number)
                ),
                1,
            )
            for number in BUSY
        }
        for policy in POLICIES
    }
    best = max(of_policy["0"] for of_policy in rates.values())
    kept = {policy: {number: round(rate / best, 2) for number, rate in by.items()} for policy, by in rates.items()}
    return {"tokens_per_second": rates, "kept": kept}


def main() -> None:
    """Measures in turn and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=WHAT, nargs="+", default=list(WHAT))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", choices=WHAT, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.one:
        logging.basicConfig(level=logging.ERROR)
        rollout = default_rollout(arguments.work, NUM_PROBLEMS)
        rollout = replace(rollout, num_trajectories=4)
        if arguments.one == "training":
            rate = training_rate(rollout, arguments.work)
        else:
            rate = asyncio.run(sampling_rate(arguments.one, rollout))
        print(json.dumps({"rate": round(rate, 1), "number_formats": record_of_choices()}))
        return
    with tempfile.TemporaryDirectory() as directory:
        default_rollout(Path(directory), 1)  # converts the model and holds the race
        runs = [
            measured_apart(what, policy, number, Path(directory))
            for _ in range(arguments.rounds)
            for what in arguments.what
            for number in BUSY
            for policy in POLICIES
        ]
    facts = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine() | {"flags": processor_flags()},
        "results": {what: summary(runs, what) for what in arguments.what},
        "runs": runs,
    }
    print(json.dumps(facts["results"], indent=2))
    arguments.out.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
