"""What a seed of its own for every response costs, and that the settings chosen for it hold under load.

    python benchmarks/seeds.py

The same conversations on two engines: 128 sequences at once, 384 trajectories of up to 5 turns. vLLM's CPU engine dies
when the prompt of a seeded request is prefilled in pieces; it must not. Written to `benchmarks/seeds.json`.
"""

import asyncio
import json
import tempfile
from contextlib import aclosing
from pathlib import Path

from drift.parameters import EngineParameters, ModelParameters, ProtocolParameters
from drift.problems.sources import ArithmeticSource, load_problems
from drift.protocol.chat import chat_format_of
from drift.protocol.episode import longest_episode_tokens
from drift.rollout.costs import Costs
from drift.rollout.engine import Sampling
from drift.rollout.reference import prepare_reference_model
from drift.rollout.sample import start_verifiers
from drift.rollout.scheduler import Conversation, run_problems
from drift.rollout.vllm_engine import start_vllm

RESULT = Path(__file__).with_suffix(".json")
NUM_PROBLEMS, N, MAX_TURNS, MAX_NEW_TOKENS = 48, 8, 5, 24


async def measure(model: Path, seeded: bool) -> dict[str, float]:
    """One engine, all conversations."""
    chat = chat_format_of(model, ProtocolParameters(max_turns=MAX_TURNS))
    problems = load_problems(ArithmeticSource(source="arithmetic", limit=NUM_PROBLEMS), "train", 0)
    context = longest_episode_tokens(64, chat, MAX_TURNS, MAX_NEW_TOKENS)
    costs, finished = Costs(), 0
    with start_verifiers() as verifiers:
        async with start_vllm(
            model,
            EngineParameters(max_sequences=128, cpu_cache_gib=4),
            dtype="bfloat16",
            max_context_tokens=context,
            seed=0,
            trust_remote_code=False,
            seed_per_request=seeded,
        ) as engine:
            sampling = Sampling(0.8, 1.0, MAX_NEW_TOKENS, chat.stop_ids)
            seed = 0 if seeded else None
            conversation = Conversation(engine, chat, verifiers, sampling, MAX_TURNS, seed, costs)
            with costs.time("sampling"):
                async with aclosing(run_problems(conversation, problems, N, lambda _: None)) as runs:
                    async for batch in runs:
                        finished += sum(map(len, batch))
    return {
        "trajectories": finished,
        "responses": costs.responses,
        "tokens_per_second": round(costs.response_tokens / costs.sampling_seconds, 1),
    }


def main() -> None:
    """Prints both and their ratio."""
    with tempfile.TemporaryDirectory() as directory:
        model = prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), Path(directory)).path
        plain, seeded = (asyncio.run(measure(model, seeded)) for seeded in (False, True))
    ratio = round(seeded["tokens_per_second"] / plain["tokens_per_second"], 2)
    result = {"command": "python benchmarks/seeds.py", "plain": plain, "seeded": seeded, "seeded_to_plain": ratio}
    print(json.dumps(result, indent=2))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
