"""Ways to decode on plain transformers, beside each other: one by one, batched `generate`, continuous batching, ours.

    python benchmarks/transformers_engine.py

Every way answers the same conversations of two turns, at temperature 1, in bfloat16, in one run, in turn: sums of two
numbers, each asked several times, and every response is told to think again, as in a rollout. Prints the median of the
generated tokens per second and the ratio of ours to each; written to `benchmarks/transformers_engine.json`.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

from drift.parameters import EngineParameters, ModelParameters, ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.rollout.engine import Sampling
from drift.rollout.reference import prepare_reference_model
from drift.rollout.transformers_engine import start_transformers

COMMAND = "python benchmarks/transformers_engine.py"
RESULT = Path(__file__).with_suffix(".json")
PROBLEMS, TRAJECTORIES, TURNS, MAX_NEW_TOKENS = 16, 4, 2, 24
ONE_AT_A_TIME = 6  # conversations, so that it ends
REPEATS = 1  # more where the machine is shared
Answer = Callable[[list[list[int]]], list[list[int]]]


def prompts_of(chat: ChatFormat) -> list[list[int]]:
    sums = [(2 + 5 * number % 19, 2 + 7 * number % 19) for number in range(PROBLEMS)]
    problems = [Problem(f"{a}+{b}", f"What is {a} + {b}?", str(a + b), "math", "sums") for a, b in sums]
    return [chat.prompt_ids(problem) for problem in problems for _ in range(TRAJECTORIES)]


def bridge(chat: ChatFormat, response: list[int]) -> tuple[int, ...]:
    return chat.feedback_ids_stopped if response[-1] in chat.stop_ids else chat.feedback_ids_cut


def in_lock_step(answer: Answer, chat: ChatFormat, contexts: list[list[int]]) -> float:
    """Generated tokens per second of a way that answers all contexts before any goes on."""
    started, generated = time.perf_counter(), 0
    for _ in range(TURNS):
        responses = answer(contexts)
        generated += sum(map(len, responses))
        contexts = [
            [*context, *response, *bridge(chat, response)]
            for context, response in zip(contexts, responses, strict=True)
        ]
    return generated / (time.perf_counter() - started)


def settings(chat: ChatFormat) -> GenerationConfig:
    stop_ids = sorted(chat.stop_ids)
    return GenerationConfig(
        do_sample=True, top_k=0, max_new_tokens=MAX_NEW_TOKENS, eos_token_id=stop_ids, pad_token_id=stop_ids[0]
    )


def batched_generate(model: Any, chat: ChatFormat, contexts: list[list[int]]) -> list[list[int]]:
    longest = max(map(len, contexts))
    ids = torch.tensor([[0] * (longest - len(context)) + context for context in contexts])
    mask = torch.tensor([[0] * (longest - len(context)) + [1] * len(context) for context in contexts])
    generated = model.generate(ids, attention_mask=mask, generation_config=settings(chat))[:, longest:].tolist()
    ends = [next((at for at, token in enumerate(row) if token in chat.stop_ids), len(row)) for row in generated]
    return [row[: end + 1] for row, end in zip(generated, ends, strict=True)]


def continuous_batching(model: Any, chat: ChatFormat, contexts: list[list[int]]) -> list[list[int]]:
    cache = ContinuousBatchingConfig(page_size=32, num_blocks=512, max_batch_tokens=1024, auto_switch_to_flash=False)
    outputs = model.generate_batch(
        contexts, generation_config=settings(chat), continuous_batching_config=cache, progress_bar=False
    )
    return [outputs[f"req_{number}"].generated_tokens for number in range(len(contexts))]


def ours(path: Path, chat: ChatFormat, contexts: list[list[int]]) -> float:
    sampling = Sampling(1.0, 1.0, MAX_NEW_TOKENS, chat.stop_ids)

    async def run() -> float:
        parameters = EngineParameters(max_sequences=len(contexts))
        async with start_transformers(
            path, parameters, dtype="bfloat16", max_context_tokens=256, seed=0, trust_remote_code=False
        ) as engine:

            async def converse(context: list[int]) -> int:
                generated = 0
                for _ in range(TURNS):
                    response = (await engine.generate(context, sampling)).token_ids
                    generated += len(response)
                    context = [*context, *response, *bridge(chat, response)]
                return generated

            started = time.perf_counter()
            generated = await asyncio.gather(*(converse(context) for context in contexts))
            return sum(generated) / (time.perf_counter() - started)

    return asyncio.run(run())


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), Path(directory)).path
        chat = chat_format_of(path, ProtocolParameters())
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16, attn_implementation="sdpa")
        contexts = prompts_of(chat)
        ways: dict[str, Callable[[], float]] = {
            "one at a time": lambda: in_lock_step(
                lambda few: [batched_generate(model, chat, [one])[0] for one in few],
                chat,
                contexts[:: len(contexts) // ONE_AT_A_TIME],
            ),
            "continuous batching of transformers": lambda: in_lock_step(
                lambda all_of_them: continuous_batching(model, chat, all_of_them), chat, contexts
            ),
            "batched generate": lambda: in_lock_step(
                lambda all_of_them: batched_generate(model, chat, all_of_them), chat, contexts
            ),
            "ours": lambda: ours(path, chat, contexts),
        }
        measured: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(REPEATS):
            for name, way in ways.items():
                measured[name].append(way())
                print(f"{name}: {measured[name][-1]:.0f} generated tokens/s", flush=True)
    rates = {name: statistics.median(rate) for name, rate in measured.items()}
    result = {
        "command": COMMAND,
        "conversations": len(contexts),
        "tokens_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "ours_is_times_faster": {name: round(rates["ours"] / rate, 2) for name, rate in rates.items()},
    }
    print(json.dumps(result["ours_is_times_faster"]))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
