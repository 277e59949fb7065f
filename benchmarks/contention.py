"""Sampling and training beside busy processes: OpenMP threads that spin while they wait, and threads that sleep.

    python benchmarks/contention.py                 # both engines and the training, two rounds
    python benchmarks/contention.py --what training --rounds 1

Every measurement is a process of its own, which is timed quiet, beside one and beside two processes that compute all
the time. `active` is what the libraries do by themselves, `passive` what `drift.machine.threads` sets. `kept` is the
throughput beside busy processes to that of the same process alone. The result is written to
`benchmarks/contention.json`.
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
from collections.abc import Callable
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
POLICIES = {"active": {"OMP_WAIT_POLICY": "ACTIVE"}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}
WHAT = ("transformers", "vllm", "training")
BUSY = (0, 1, 2)
NUM_PROBLEMS = 12
STEPS, EXAMPLES, EXAMPLE_TOKENS = 3, 8, 116


def sampling_rates(kind: Any, rollout: Rollout) -> dict[int, float]:
    """Response tokens/s by number of busy processes, with one start of the engine."""
    return asyncio.run(_sampling_rates(kind, rollout))


async def _sampling_rates(kind: Any, rollout: Rollout) -> dict[int, float]:
    keeper, rates = EngineKeeper(), {}
    chat = chat_format_of(rollout.policy.path, rollout.protocol)
    room = refuse_too_long(
        rollout.problems, chat, rollout.policy.path, rollout.protocol.max_turns, rollout.max_new_tokens
    )
    with start_verifiers() as verifiers:
        engine = await keeper.engine(rollout, EngineParameters(kind=kind), room, 0)
        for number in (None, *BUSY):  # the first one warms up
            with busy(number or 0):
                conversation = Conversation(engine, chat, verifiers, rollout.sampling(chat), rollout.protocol.max_turns)
                begun = time.monotonic()
                async for _ in run_problems(conversation, rollout.problems, rollout.num_trajectories, lambda _: None):
                    pass
                if number is not None:
                    rates[number] = conversation.costs.response_tokens / (time.monotonic() - begun)
        await keeper.stop()
    return rates


def training_rates(rollout: Rollout, work: Path) -> dict[int, float]:
    """Tokens/s of optimiser steps by number of busy processes."""
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
    return {number: STEPS * EXAMPLES * EXAMPLE_TOKENS / beside(number, lambda: steps(STEPS)) for number in BUSY}


def beside(number: int, work: Callable[[], None]) -> float:
    """Seconds that work takes beside so many busy processes."""
    with busy(number):
        begun = time.monotonic()
        work()
        return time.monotonic() - begun


def measured_apart(what: str, policy: str, work: Path) -> dict[str, Any]:
    """One measurement in a process of its own, with a wait policy of its own."""
    words = [sys.executable, __file__, "--one", what, "--work", str(work)]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, env=os.environ | POLICIES[policy])
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    return {"what": what, "policy": policy, **json.loads(ended.stdout.splitlines()[-1])}


def summary(runs: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """Medians over the rounds: tokens/s by wait policy and busy processes, and what is kept of the quiet throughput."""
    rates = {
        policy: {
            str(number): round(statistics.median(run["rates"][str(number)] for run in of_policy), 1) for number in BUSY
        }
        for policy in POLICIES
        if (of_policy := [run for run in runs if (run["what"], run["policy"]) == (what, policy)])
    }
    kept = {
        policy: {number: round(rate / by_number["0"], 2) for number, rate in by_number.items() if number != "0"}
        for policy, by_number in rates.items()
    }
    quiet = round(rates["passive"]["0"] / rates["active"]["0"], 2)
    return {"tokens_per_second": rates, "kept": kept, "passive_to_active_when_quiet": quiet}


def main() -> None:
    """Measures in turn and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=WHAT, nargs="+", default=list(WHAT))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", choices=WHAT, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.one:
        logging.basicConfig(level=logging.ERROR)
        rollout = default_rollout(arguments.work, NUM_PROBLEMS)
        rollout = replace(rollout, num_trajectories=4)
        trains = arguments.one == "training"
        rates = training_rates(rollout, arguments.work) if trains else sampling_rates(arguments.one, rollout)
        print(json.dumps({"rates": rates, "number_formats": record_of_choices()}))
        return
    with tempfile.TemporaryDirectory() as directory:
        default_rollout(Path(directory), 1)  # converts the model and holds the race
        runs = [
            measured_apart(what, policy, Path(directory))
            for _ in range(arguments.rounds)
            for what in arguments.what
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
