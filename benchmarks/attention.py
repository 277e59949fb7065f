"""Plain against fused attention, forward and backward, at the sizes of the embedded default.

    python benchmarks/attention.py

Prints training tokens per second of both on this machine's CPU, with bfloat16 weights, in one run and in turn, and the
ratio of their medians. Written to `benchmarks/attention.json`.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from drift.parameters import ModelParameters
from drift.rollout.reference import prepare_reference_model

RESULT = Path(__file__).with_suffix(".json")
ROWS, LENGTH, REPEATS = 8, 120, 7


def tokens_per_second(model: PreTrainedModel) -> float:
    """One forward and backward pass."""
    token_ids = torch.randint(2, 1000, (ROWS, LENGTH))
    started = time.perf_counter()
    model(token_ids, logits_to_keep=20).logits.float().logsumexp(-1).mean().backward()
    return ROWS * LENGTH / (time.perf_counter() - started)


def main() -> None:
    """Measures both in turn."""
    with tempfile.TemporaryDirectory() as directory:
        path = prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), Path(directory)).path
        models = {
            kind: AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16, attn_implementation=kind)
            for kind in ("eager", "sdpa")
        }
    rates: dict[str, list[float]] = {kind: [] for kind in models}
    for _ in range(REPEATS + 1):
        for kind, model in models.items():
            rates[kind].append(tokens_per_second(model))
    medians = {kind: round(statistics.median(rate[1:])) for kind, rate in rates.items()}
    result = {"tokens_per_second": medians, "ratio": round(medians["eager"] / medians["sdpa"], 2)}
    print(json.dumps(result))
    RESULT.write_text(json.dumps({"command": "python benchmarks/attention.py", **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
