"""Which engine ends a job sooner on a CPU: vLLM computes faster and starts later than plain transformers.

    seconds = start + operations / (share of the machine's speed that the engine reaches)

Both engines are bound by computation there, so the speed is that of matrix products in the format that is sampled in
(`drift.machine.number_formats`). Starts and shares were measured with `benchmarks/engines.py`; they need not be exact,
because an engine that is chosen wrongly near the break-even costs little.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drift.rollout.plan import Rollout

EngineKind = Literal["vllm", "transformers"]

FEEDBACK_TOKENS = 20
"""Of the feedback and the marks around it, which every turn after the first computes."""
EXPECTED_SHARE_OF_TURNS = 0.75
"""Of the budget, over all conversations: most weak models' fail to the end, right ones end at once."""
EVALUATIONS = 0.5
"""What two greedy evaluations compute, to the rollout: they come with the same start."""


@dataclass(frozen=True)
class EngineSpeed:
    """What an engine is like on a CPU.

    Attributes:
        start_seconds: until the first request, on a fast machine.
        start_gflop: what a start takes besides, as GFLOP of matrix products: a slow machine starts everything slowly.
        share: of the GFLOP/s of plain matrix products, by number format, for tokens that must be computed.
    """

    start_seconds: float
    start_gflop: float
    share: Mapping[str, float]


SPEEDS: dict[EngineKind, EngineSpeed] = {
    "transformers": EngineSpeed(1.0, 250.0, {"float32": 0.52, "bfloat16": 0.27}),
    "vllm": EngineSpeed(18.0, 1300.0, {"float32": 0.53, "bfloat16": 0.36}),
}
"""Of two cores: `benchmarks/engines.json`; vLLM's start of 34 to 58 s was seen where products reach 46 GFLOP/s."""


def sooner(tokens: float, num_weights: float, gflops: float, number_format: str) -> tuple[EngineKind, float]:
    """The engine that ends a job sooner, and by how many seconds.

    Args:
        tokens: that are computed, prompts included.
        num_weights: of the model.
        gflops: GFLOP/s of matrix products in the format.
        number_format: that is sampled in.
    """
    seconds = {
        kind: speed.start_seconds
        + (speed.start_gflop + 2e-9 * num_weights * tokens / speed.share.get(number_format, 0.25)) / gflops
        for kind, speed in SPEEDS.items()
    }
    best = min(seconds, key=lambda kind: seconds[kind])
    return best, max(seconds.values()) - seconds[best]


def computed_tokens(rollout: Rollout) -> float:
    """Tokens that a rollout is expected to compute, with the evaluations that follow it."""
    turns = max(1.0, EXPECTED_SHARE_OF_TURNS * rollout.protocol.max_turns)
    of_turn = FEEDBACK_TOKENS + EXPECTED_SHARE_OF_TURNS * rollout.max_new_tokens
    conversations = len(rollout.problems) * rollout.num_trajectories
    return conversations * turns * of_turn * (1 + EVALUATIONS)


def number_of_weights(policy: Path) -> float:
    """Of a model directory, from the size of its files."""
    config = json.loads((policy / "config.json").read_text())
    of_weight = 4 if str(config.get("dtype") or config.get("torch_dtype")) == "float32" else 2
    return sum(file.stat().st_size for file in policy.glob("*.safetensors")) / of_weight
