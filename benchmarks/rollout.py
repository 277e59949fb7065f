"""Conversations that run by themselves against lock-step turns, and against the engine's own ceiling.

    python benchmarks/rollout.py [ROUNDS]

One model, the same problems and engine settings, in turn:
(a) lock-step: all trajectories of a batch of problems, one blocking generation a turn, prompts rendered as text;
(b) ours: every trajectory by itself, tokens in and tokens out;
(c) the ceiling: as many responses of the same lengths as (b) drew, single-turn, at full concurrency.
Responses are `short` (24 new tokens, nearly half of them cut) or `long` (160, most of them end by themselves, at very
different lengths). `step_milliseconds` says how long one decoding step takes by the number of sequences in it: where it
hardly grows (a GPU, few sequences on a CPU), waiting for the slowest is dear; where it grows with every sequence (many
on a CPU), it is cheap. Medians over the rounds; written to `benchmarks/rollout.json`.
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
# Problems, new tokens and sequences decoded at once.
MIXES = {"short, 32": (12, 24, 32), "long, 32": (12, 160, 32), "long, 8": (3, 160, 8)}
STEP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
PROTOCOL = ProtocolParameters(max_turns=MAX_TURNS)


async def ours(
    engine: VllmEngine,
    chat: ChatFormat,
    verifiers: VerifierPool,
    problems: Sequence[Problem],
    sampling: Sampling,
) -> tuple[Costs, list[Trajectory]]:
    """(b)."""
    costs = Costs()
    conversation = Conversation(engine, chat, verifiers, sampling, MAX_TURNS, costs=costs)
    trajectories = []
    with costs.time("sampling"):
        async with aclosing(run_problems(conversation, problems, N, lambda _: None)) as runs:
            async for batch in runs:
                trajectories += [trajectory for problem in batch for trajectory in problem]
    return costs, trajectories


async def lock_step(
    engine: VllmEngine,
    chat: ChatFormat,
    verifiers: VerifierPool,
    problems: Sequence[Problem],
    sampling: Sampling,
    sequences: int,
) -> Costs:
    """(a): a batch is as large as the engine decodes at once; a turn begins when all have finished the one before."""
    costs = Costs()
    problems_at_once = sequences // N
    with costs.time("sampling"):
        for first in range(0, len(problems), problems_at_once):
            batch = problems[first : first + problems_at_once]
            open_chats = [(problem, list(chat.style.messages(problem))) for problem in batch for _ in range(N)]
            for _ in range(MAX_TURNS):
                texts = [render(chat.tokenizer, messages, open_response=True) for _, messages in open_chats]
                contexts = [tokenize(chat.tokenizer, text) for text in texts]
                completions = await asyncio.gather(*(engine.generate(ids, sampling) for ids in contexts))
                responses = [chat.text(completion.token_ids) for completion in completions]
                grades = [
                    verifiers.submit(problem.verifier, problem.answer, response)
                    for (problem, _), response in zip(open_chats, responses, strict=True)
                ]
                for ids, completion in zip(contexts, completions, strict=True):
                    costs.add_turn(len(ids), completion, 0, 0)
                still_open = []
                for (problem, messages), response, grade in zip(open_chats, responses, grades, strict=True):
                    if grade.result().verdict != "correct":
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
    """What is compared; computed tokens are those sampled and those of contexts that no cache held."""
    prefilled = costs.context_tokens - costs.cached_tokens
    return {
        "trajectories_per_second": num_trajectories / costs.sampling_seconds,
        "tokens_per_second": costs.response_tokens / costs.sampling_seconds,
        "computed_tokens_per_second": (costs.response_tokens + prefilled) / costs.sampling_seconds,
        "prefill_tokens_computed": prefilled,
        "response_tokens": costs.response_tokens,
        "seconds": costs.sampling_seconds,
    }


async def step_milliseconds(engine: VllmEngine, prompt_ids: list[int]) -> dict[int, float]:
    """How long a decoding step takes with so many sequences in it: the time of 33 tokens each, less that of one."""
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    async def seconds(num_sequences: int, num_tokens: int) -> float:
        async def respond(number: int) -> None:
            parameters = SamplingParams(temperature=1.0, max_tokens=num_tokens, ignore_eos=True, detokenize=False)
            name = f"step-{time.perf_counter()}-{number}"
            async for _ in engine._llm.generate(TokensPrompt(prompt_token_ids=prompt_ids), parameters, name):
                pass

        started = time.perf_counter()
        await asyncio.gather(*(respond(number) for number in range(num_sequences)))
        return time.perf_counter() - started

    found = {}
    for size in STEP_SIZES:
        runs = [(await seconds(size, 33) - await seconds(size, 1)) / 32 for _ in range(3)]
        found[size] = round(1000 * statistics.median(runs), 1)
    return found


async def compare(
    engine: VllmEngine, chat: ChatFormat, verifiers: VerifierPool, mix: str, problems: Sequence[Problem]
) -> dict[str, dict[str, float]]:
    """One round: (b), (a) and (c); the engine forgets its cache in between."""
    _, max_new_tokens, sequences = MIXES[mix]
    sampling = Sampling(TEMPERATURE, 1.0, max_new_tokens, chat.stop_ids)
    b, trajectories = await ours(engine, chat, verifiers, problems, sampling)
    await engine._llm.reset_prefix_cache()
    a = await lock_step(engine, chat, verifiers, problems, sampling, sequences)
    await engine._llm.reset_prefix_cache()
    lengths = [turn.end - turn.start for trajectory in trajectories for turn in trajectory.turns]
    c = await ceiling(engine, chat, problems, lengths)
    await engine._llm.reset_prefix_cache()
    return {way: figures(costs, len(trajectories)) for way, costs in (("a", a), ("b", b), ("c", c))}


async def measure(model: Path, rounds: int) -> dict[str, Any]:
    """Every mix, on one engine, of which a mix keeps so many sequences in flight."""
    chat = chat_format_of(model, PROTOCOL)
    longest = max(longest_episode_tokens(64, chat, MAX_TURNS, tokens) for _, tokens, _ in MIXES.values())
    parameters = EngineParameters(max_sequences=STEP_SIZES[-1], cpu_cache_gib=4)
    result: dict[str, Any] = {}
    with start_verifiers() as verifiers:
        async with start_vllm(
            model, parameters, dtype="bfloat16", max_context_tokens=longest, seed=0, trust_remote_code=False
        ) as engine:
            for mix, (num_problems, _, sequences) in MIXES.items():
                problems = load_problems(ArithmeticSource(source="arithmetic", limit=num_problems), "train", 0)
                engine.max_in_flight = sequences
                await compare(engine, chat, verifiers, mix, problems[:1])  # warms up
                runs = []
                for _ in range(rounds):
                    runs.append(await compare(engine, chat, verifiers, mix, problems))
                    print(mix, json.dumps(runs[-1]), flush=True)
                result[mix] = summary(runs)
            (first,) = load_problems(ArithmeticSource(source="arithmetic", limit=1), "train", 0)
            result["step_milliseconds"] = await step_milliseconds(engine, chat.prompt_ids(first))
    return result


def summary(runs: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians of each way, and medians of the ratios of each round."""
    ways = {
        way: {key: round(statistics.median(run[way][key] for run in runs), 2) for key in runs[0][way]} for way in "abc"
    }

    def ratio(way: str, other: str, key: str) -> float:
        return round(statistics.median(run[way][key] / run[other][key] for run in runs), 2)

    return {
        **ways,
        "b_to_a": {key: ratio("b", "a", key) for key in ("trajectories_per_second", "tokens_per_second")},
        "b_to_c": {key: ratio("b", "c", key) for key in ("tokens_per_second", "computed_tokens_per_second")},
    }


def main() -> None:
    """Prints and writes medians and ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as directory:
        model = prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), Path(directory)).path
        result = asyncio.run(measure(model, rounds))
    result = {"command": "python benchmarks/rollout.py", "rounds": rounds, **result}
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
