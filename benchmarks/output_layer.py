"""The output layer at target positions: ours against plain logits and torch's fused form, time, memory and error.

    python benchmarks/output_layer.py                  # five minutes on two quiet cores
    python benchmarks/output_layer.py --targets 200    # one size; the others' results stay

Forward and backward of a weighted sum of -log pi at the bundled model's shape (hidden 576, vocabulary 49,152) in
bfloat16, with gradients of the hidden states and of the layer's weight, by number of targets:

- plain: logits of all rows in float32, `cross_entropy`
- torch: `linear_cross_entropy` with `LinearCrossEntropyOptions()`, whose choices depend on device and number format
- torch, our rows: the same with as many rows in a chunk as ours has
- ours: `drift.training.output_layer.token_nll`

Milliseconds are medians of repeats that the forms take in turn in one process, after one that is not counted. Memory
is the peak above the inputs, gradients included, in a process of its own for every form. The error is that of the
weight's gradient, relative to its largest entry in float32. Written to `benchmarks/output_layer.json`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from drift.training.output_layer import _LOGIT_BYTES, token_nll

RESULT = Path(__file__).with_suffix(".json")
HIDDEN, VOCABULARY = 576, 49152
TARGETS = (200, 1000, 4000)
REPEATS = 3
SLOW = "torch"
"""Takes ten seconds, and is measured once, in the process that measures its memory."""


def plain(hidden: torch.Tensor, weight: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Logits of all rows."""
    logits = torch.nn.functional.linear(hidden, weight).float()
    return torch.nn.functional.cross_entropy(logits, target, reduction="none")


def fused(hidden: torch.Tensor, weight: torch.Tensor, target: torch.Tensor, rows: int | None = None) -> torch.Tensor:
    """torch's own form."""
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=rows)
    return torch.nn.functional.linear_cross_entropy(hidden, weight, target, reduction="none", options=options)


def fused_in_our_rows(hidden: torch.Tensor, weight: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """torch's own form with our chunks."""
    return fused(hidden, weight, target, _LOGIT_BYTES // (4 * VOCABULARY))


def ours(hidden: torch.Tensor, weight: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """What training does."""
    return token_nll(hidden, weight, None, target)


FORMS = {"plain": plain, "torch": fused, "torch, our rows": fused_in_our_rows, "ours": ours}


def inputs(targets: int) -> tuple[torch.Tensor, ...]:
    """Hidden states, the layer's weight, target ids and what comes from above; logits have a deviation of about 3."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(targets, HIDDEN, generator=generator).bfloat16().requires_grad_()
    weight = (torch.randn(VOCABULARY, HIDDEN, generator=generator) / 8).bfloat16().requires_grad_()
    target = torch.randint(VOCABULARY, (targets,), generator=generator)
    return hidden, weight, target, torch.rand(targets, generator=generator) / targets


def step(form: str, given: tuple[torch.Tensor, ...]) -> float:
    """Forward and backward, in milliseconds."""
    hidden, weight, target, upstream = given
    hidden.grad = weight.grad = None
    started = time.perf_counter()
    (FORMS[form](hidden, weight, target) * upstream).sum().backward()
    return (time.perf_counter() - started) * 1e3


def exact_gradient(given: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Of the weight, from the same inputs in float32."""
    hidden, weight, target, upstream = given
    exact_weight = weight.detach().float().requires_grad_()
    (plain(hidden.detach().float(), exact_weight, target) * upstream).sum().backward()
    assert exact_weight.grad is not None
    return exact_weight.grad


def error(given: tuple[torch.Tensor, ...], exact: torch.Tensor) -> float:
    """Of the weight's gradient, relative to the exact one's largest entry."""
    found = given[1].grad
    assert found is not None
    return float((found.float() - exact).abs().max() / exact.abs().max())


def resident(name: str) -> int:
    """Bytes this process has (VmRSS) or had at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def alone(form: str, targets: int) -> tuple[float, float]:
    """Milliseconds, and peak memory above the inputs in MiB, after a small step that loads all code."""
    given = inputs(targets)
    hidden, weight, target, upstream = inputs(2)
    (FORMS[form](hidden, weight[:64].detach().requires_grad_(), target % 64) * upstream).sum().backward()
    del hidden, weight, target, upstream
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    milliseconds = step(form, given)
    return milliseconds, (resident("VmHWM") - before) / 2**20


def measured(targets: int) -> dict[str, Any]:
    """All forms at one number of targets."""
    given = inputs(targets)
    exact = exact_gradient(given)
    times: dict[str, list[float]] = {form: [] for form in FORMS}
    wrong = {}
    for _ in range(REPEATS + 1):
        for form in FORMS:
            if form != SLOW:
                times[form].append(step(form, given))
                wrong[form] = error(given, exact)
    rows: dict[str, dict[str, Any]] = {}
    for form in FORMS:
        command = [sys.executable, __file__, "--form", form, "--targets", str(targets)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        once, peak_mib = json.loads(printed)
        rows[form] = {
            "milliseconds": round(statistics.median(times[form][1:] or [once]), 1),
            "peak_mib": round(peak_mib),
            "gradient_error": float(f"{wrong[form]:.2g}") if form in wrong else None,
        }
    for row in rows.values():
        row["time_to_ours"] = round(row["milliseconds"] / rows["ours"]["milliseconds"], 2)
        row["memory_to_ours"] = round(row["peak_mib"] / rows["ours"]["peak_mib"], 2)
    return {"targets": targets, "forms": rows}


def main() -> None:
    """Prints and writes all sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--targets", type=int)
    options = parser.parse_args()
    if options.form:
        print(json.dumps(alone(options.form, options.targets)))
        return
    sizes = {size["targets"]: size for size in json.loads(RESULT.read_text())["sizes"]} if RESULT.exists() else {}
    for targets in [options.targets] if options.targets else TARGETS:
        sizes[targets] = measured(targets)
        print(json.dumps(sizes[targets], indent=2), flush=True)
        result: dict[str, Any] = {"command": "python benchmarks/output_layer.py", "threads": torch.get_num_threads()}
        result["sizes"] = [sizes[number] for number in sorted(sizes)]
        RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
