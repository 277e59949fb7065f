"""Causal attention of one sequence on a CPU: torch's fused kernel against plain products in blocks, by length.

    python benchmarks/attention.py

Forward and backward in bfloat16 at the bundled model's heads (9 of 64, 3 key-value heads), in one run and in turn.
Prints milliseconds (medians) and their ratio; `drift.training.attention` changes over where it crosses one. Written to
`benchmarks/attention.json`.
"""

import json
import statistics
import time
from pathlib import Path

import torch

from drift.training.attention import _in_blocks

RESULT = Path(__file__).with_suffix(".json")
HEADS, GROUPS, SIZE = 9, 3, 64
LENGTHS = (64, 128, 256, 512, 1024, 2048)
TOKENS, REPEATS = 4096, 7


def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """torch's kernel."""
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)


def in_blocks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Ours."""
    return _in_blocks(query, key, value, None, None)


FORMS = {"fused": fused, "blocks": in_blocks}


def milliseconds(form: str, length: int) -> float:
    """Forward and backward of one sequence, mean over as many as make `TOKENS`."""
    shapes = [(1, heads, length, SIZE) for heads in (HEADS, GROUPS, GROUPS)]
    query, key, value = (torch.randn(shape, dtype=torch.bfloat16, requires_grad=True) for shape in shapes)
    upstream = torch.randn(1, HEADS, length, SIZE, dtype=torch.bfloat16)
    started = time.perf_counter()
    for _ in range(TOKENS // length):
        wide = [tensor.repeat_interleave(HEADS // GROUPS, dim=1) for tensor in (key, value)]
        FORMS[form](query, *wide).backward(upstream)
    return (time.perf_counter() - started) / (TOKENS // length) * 1e3


def main() -> None:
    """Measures both in turn at every length."""
    rows = []
    for length in LENGTHS:
        times: dict[str, list[float]] = {form: [] for form in FORMS}
        for _ in range(REPEATS + 1):
            for form in FORMS:
                times[form].append(milliseconds(form, length))
        medians = {form: round(statistics.median(values[1:]), 2) for form, values in times.items()}
        rows.append(
            {
                "length": length,
                "milliseconds": medians,
                "fused_to_blocks": round(medians["fused"] / medians["blocks"], 2),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    RESULT.write_text(json.dumps({"command": "python benchmarks/attention.py", "lengths": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
