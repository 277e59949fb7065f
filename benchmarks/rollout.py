"""Conversations that run by themselves against lock-step turns, and against the engine's own ceiling.

    python benchmarks/rollout.py [ROUNDS]

One engine, one model, the same problems, in turn:
(a) lock-step: all trajectories of a batch of problems, one blocking generation a turn, prompts rendered as text;
(b) ours: every trajectory by itself, tokens in and tokens out;
(c) the ceiling: as many responses of the same lengths as (b) drew, single-turn, at full concurrency;
(d) ours, with a seed of its own for every response, on an engine set up for it.
Two mixes of lengths: `short` responses (24 new tokens, nearly half of them cut) and `long` ones (160, most of them end
by themselves, at very different lengths). Medians over the rounds; written to `benchmarks/rollout.json`.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from drift.parameters import EngineParameters, ModelParameters, ProtocolParameters
from drift.problems.problem import Problem
from drift.problems.sources import ArithmeticSource, load_problems
from drift.protocol.chat import ChatFormat, chat_format_of, render, tokenize
from drift.protocol.episode import longest_episode_tokens
from drift.protocol.trajectory import Trajectory
from drift.rollout.costs import Costs
from drift.rollout.engine import Sampling
from drift.rollout.reference import prepare_reference_model
from drift.rollout.sample import start_verifiers
from drift.rollout.scheduler import Conversation, run_problems
from drift.rollout.vllm_engine import VllmEngine, start_vllm
from drift.verification.pool import VerifierPool

RESULT = Path(__file__).with_suffix(".json")
N, MAX_TURNS, TEMPERATURE = 8, 5, 0.8
# Problems and new tokens of each mix.
MIXES = {"short": (48, 24), "long": (24, 160)}
PROTOCOL = ProtocolParameters(max_turns=MAX_TURNS)
PARAMETERS = EngineParameters(cpu_cache_gib=4)


async def ours(
    engine: VllmEngine,
    chat: ChatFormat,
    verifiers: VerifierPool,
    problems: Sequence[Problem],
    sampling: Sampling,
    seed: int | None = None,
) -> tuple[Costs, list[Trajectory]]:
    """(b) and (d)."""
    costs = Costs()
    conversation = Conversation(engine, chat, verifiers, sampling, MAX_TURNS, seed, costs)
    trajectories = []
    with costs.time("sampling"):
        async with aclosing(run_problems(conversation, problems, N, lambda _: None)) as runs:
            async for batch in runs:
                trajectories += [trajectory for problem in batch for trajectory in problem]
    return costs, trajectories


async def lock_step(
    engine: VllmEngine, chat: ChatFormat, verifiers: VerifierPool, problems: Sequence[Problem], sampling: Sampling
) -> Costs:
    """(a): a batch is as large as the engine decodes at once; a turn begins when all have finished the one before."""
    costs = Costs()
    problems_at_once = max(1, 128 // N)
    with costs.time("sampling"):
        for first in range(0, len(problems), problems_at_once):
            batch = problems[first : first + problems_at_once]
            open_chats = [(problem, list(chat.style.messages(problem))) for problem in batch for _ in range(N)]
            for _ in range(MAX_TURNS):
                texts = [render(chat.tokenizer, messages, open_response=True) for _, messages in open_chats]
                contexts = [tokenize(chat.tokenizer, text) for text in texts]
                completions = await asyncio.gather(*(engine.generate(ids, sampling) for ids in contexts))
                still_open = []
                for (problem, messages), ids, completion in zip(open_chats, contexts, completions, strict=True):
                    response = chat.text(completion.token_ids)
                    verdict = verifiers.submit(problem.verifier, problem.answer, response).result().verdict
                    costs.add_turn(len(ids), completion, 0, 0)
                    if verdict != "correct":
                        said = {"role": "assistant", "content": response}
                        still_open.append((problem, [*messages, said, {"role": "user", "content": PROTOCOL.feedback}]))
                open_chats = still_open
    return costs


async def ceiling(engine: VllmEngine, chat: ChatFormat, problems: Sequence[Problem], lengths: Sequence[int]) -> Costs:
    """(c): responses of given lengths to the first turn, as many at once as (b) keeps in flight."""
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    costs = Costs()
    prompts = [chat.prompt_ids(problem) for problem in problems]
    waiting = iter(enumerate(lengths))

    async def run_one_after_another() -> None:
        for number, length in waiting:
            parameters = SamplingParams(
                temperature=TEMPERATURE,
                max_tokens=length,
                ignore_eos=True,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            prompt_ids = prompts[number % len(prompts)]
            prompt = TokensPrompt(prompt_token_ids=prompt_ids)
            async for output in engine._llm.generate(prompt, parameters, f"ceiling-{time.perf_counter()}-{number}"):
                costs.response_tokens += len(output.outputs[0].token_ids)
                costs.context_tokens += len(prompt_ids)
                costs.cached_tokens += output.num_cached_tokens or 0

    with costs.time("sampling"):
        await asyncio.gather(*(run_one_after_another() for _ in range(engine.max_in_flight)))
    return costs


def figures(costs: Costs, num_trajectories: int) -> dict[str, float]:
    """What is compared."""
    return {
        "trajectories_per_second": num_trajectories / costs.sampling_seconds,
        "tokens_per_second": costs.response_tokens / costs.sampling_seconds,
        "prefill_tokens_computed": costs.context_tokens - costs.cached_tokens,
        "response_tokens": costs.response_tokens,
        "seconds": costs.sampling_seconds,
    }


async def measure(model: Path, seeded: bool, rounds: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Every mix and every way, in turn; the engine forgets its cache in between."""
    chat = chat_format_of(model, PROTOCOL)
    of_mix = {
        name: (
            load_problems(ArithmeticSource(source="arithmetic", limit=num_problems), "train", 0),
            Sampling(TEMPERATURE, 1.0, max_new_tokens, chat.stop_ids),
        )
        for name, (num_problems, max_new_tokens) in MIXES.items()
    }
    longest = max(longest_episode_tokens(64, chat, MAX_TURNS, tokens) for _, tokens in MIXES.values())
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in MIXES}
    settings: dict[str, Any] = {"dtype": "bfloat16", "max_context_tokens": longest, "seed": 0}
    with start_verifiers() as verifiers:
        async with start_vllm(
            model, PARAMETERS, **settings, trust_remote_code=False, seed_per_request=seeded
        ) as engine:
            for number in range(-1, rounds):  # the first round warms up
                for name, (problems, sampling) in of_mix.items():
                    if number < 0:
                        await ours(engine, chat, verifiers, problems[:4], sampling)
                        continue

                    async def add(way: str, costs: Costs, name: str = name, count: int = len(problems) * N) -> None:
                        found[name].setdefault(way, []).append(figures(costs, count))
                        print(
                            name, way, {key: round(value, 1) for key, value in found[name][way][-1].items()}, flush=True
                        )
                        await engine._llm.reset_prefix_cache()

                    if seeded:
                        await add("d", (await ours(engine, chat, verifiers, problems, sampling, seed=number))[0])
                        continue
                    costs, trajectories = await ours(engine, chat, verifiers, problems, sampling)
                    await add("b", costs)
                    lengths = [turn.end - turn.start for trajectory in trajectories for turn in trajectory.turns]
                    await add("a", await lock_step(engine, chat, verifiers, problems, sampling))
                    await add("c", await ceiling(engine, chat, problems, lengths))
    return found


def main() -> None:
    """Prints medians and ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as directory:
        model = prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), Path(directory)).path
        plain = asyncio.run(measure(model, False, rounds))
        seeded = asyncio.run(measure(model, True, rounds))
    result: dict[str, Any] = {"command": "python benchmarks/rollout.py", "rounds": rounds}
    for mix in MIXES:
        ways = {**plain[mix], **seeded[mix]}
        medians = {
            way: {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}
            for way, runs in sorted(ways.items())
        }
        tokens = {way: median["tokens_per_second"] for way, median in medians.items()}
        trajectories = {way: median["trajectories_per_second"] for way, median in medians.items()}
        result[mix] = {
            **medians,
            "ratios": {
                "trajectories_per_second_b_to_a": round(trajectories["b"] / trajectories["a"], 2),
                "tokens_per_second_b_to_a": round(tokens["b"] / tokens["a"], 2),
                "tokens_per_second_b_to_c": round(tokens["b"] / tokens["c"], 2),
                "tokens_per_second_d_to_b": round(tokens["d"] / tokens["b"], 2),
            },
        }
        print(mix, json.dumps(result[mix]["ratios"]))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
