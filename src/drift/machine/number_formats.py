"""Which number format suits this machine: a short race of matrix products in the shapes of the model.

A processor without bfloat16 instructions multiplies bfloat16 six times slower than float32; one that has them up to ten
times faster. The instruction sets that a processor claims do not say which, so it is measured, once for a machine and
a model: the figures are kept, and a killed run is continued in the format in which it began.
"""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from drift.machine.machine import cpu_model

logger = logging.getLogger(__name__)

Format = Literal["float32", "bfloat16", "float16"]
Use = Literal["sampling", "training"]
Shape = tuple[int, int]
Gflops = Mapping[str, float]

MEMORY = "number_formats.json"
RACE_SECONDS = 0.2
"""Of one race, both formats together; sampling and training have one each."""
ROWS: dict[Use, int] = {"sampling": 128, "training": 512}
"""Tokens of one product: sequences that are decoded together; a pack, whose way back is computed as well."""
MARGIN = 1.15
"""float32 must be so many times faster to be chosen: it takes twice the memory, and a race is not exact."""
SLOW = 1.5
"""A format that was asked for gets a warning where another one is so many times faster."""
_LARGEST_SIZE = 2048
_BFLOAT16_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class Choice:
    """The format of one use.

    Attributes:
        use: what it is for.
        format: the one that was chosen, or asked for.
        asked: what the parameters say.
        gflops: of matrix products by format, GFLOP/s; empty where nothing was measured (a GPU).
        reason: one sentence.
    """

    use: Use
    format: Format
    asked: str
    gflops: Gflops
    reason: str


CHOSEN: dict[Use, Choice] = {}
"""What this process has chosen last; the run record writes it down."""
_MEASURED: dict[str, Gflops] = {}


def number_format(asked: str, use: Use, shapes: Sequence[Shape], memory: Path) -> Format:
    """The format that is computed in, said in the log when it is first chosen.

    Args:
        asked: a format, or `auto`.
        use: sampling or training.
        shapes: inputs and outputs of the model's matrices.
        memory: directory where the figures of earlier races are kept.
    """
    if (gpu := gpu_capability()) is not None:
        choice = choice_for_gpu(asked, use, gpu)
    else:
        choice = choice_for_cpu(asked, use, measured(use, shapes, memory))
    if CHOSEN.get(use) != choice:
        CHOSEN[use] = choice
        is_slow = asked != "auto" and is_much_slower(choice)
        logger.log(logging.WARNING if is_slow else logging.INFO, "%s", choice.reason)
    return choice.format


def choice_for_cpu(asked: str, use: Use, gflops: Gflops) -> Choice:
    """bfloat16 where its products are about as fast as float32's, or faster; a format that was asked for as it is.

    Args:
        asked: a format, or `auto`.
        use: sampling or training.
        gflops: of `float32` and `bfloat16`; a figure that is no positive number means it is not known.
    """
    what = "Sampling" if use == "sampling" else "Training"
    float32, bfloat16 = gflops.get("float32", 0.0), gflops.get("bfloat16", 0.0)
    if not all(math.isfinite(figure) and figure > 0 for figure in (float32, bfloat16)):
        chosen: Format = "float32" if asked == "auto" else asked  # pyrefly: ignore
        return Choice(use, chosen, asked, {}, f"{what} in {chosen}: the speed of this processor could not be measured.")
    slower = float32 / bfloat16
    best: Format = "float32" if slower > MARGIN else "bfloat16"
    compared = (
        f"bfloat16 products are {slower:.1f} times slower on this processor"
        if slower > 1
        else f"bfloat16 products are {1 / slower:.1f} times as fast as float32's on this processor"
    )
    if asked == "auto":
        return Choice(use, best, asked, dict(gflops), f"{what} in {best}: {compared}.")
    known: Format = asked  # pyrefly: ignore
    factor = gflops[best] / gflops[known] if known in gflops else math.inf
    parameter = "model.dtype" if use == "sampling" else "training.precision"
    reason = f"{what} in {known}, because {parameter} says so"
    if known in gflops and factor > SLOW:
        reason += (
            f", though {best} products are {factor:.1f} times faster on this processor: `auto` takes what suits it"
        )
    return Choice(use, known, asked, dict(gflops), f"{reason}.")


def choice_for_gpu(asked: str, use: Use, capability: tuple[int, int]) -> Choice:
    """bfloat16 from compute capability 8.0 on; else float16 for sampling, float32 for training (no loss scaling)."""
    what, parameter = ("Sampling", "model.dtype") if use == "sampling" else ("Training", "training.precision")
    has_it = capability >= _BFLOAT16_CAPABILITY
    best: Format = "bfloat16" if has_it else "float16" if use == "sampling" else "float32"
    chosen: Format = best if asked == "auto" else asked  # pyrefly: ignore
    version = ".".join(map(str, capability))
    why = f"the GPU has compute capability {version}" if asked == "auto" else f"{parameter} says so"
    lacking = "" if has_it or chosen != "bfloat16" else f"; a GPU of compute capability {version} computes it slowly"
    return Choice(use, chosen, asked, {}, f"{what} in {chosen}, because {why}{lacking}.")


def is_much_slower(choice: Choice) -> bool:
    """Whether another format is clearly faster than the one that was asked for."""
    figures = choice.gflops
    return choice.format in figures and max(figures.values()) / figures[choice.format] > SLOW


def gpu_capability() -> tuple[int, int] | None:
    """Compute capability of the weakest GPU; None without one."""
    import torch

    if not torch.cuda.device_count():
        return None
    return min(torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count()))


def measured(use: Use, shapes: Sequence[Shape], memory: Path) -> Gflops:
    """GFLOP/s by format, from this process, from an earlier one, or from a race that is held now and kept."""
    key = race_key(use, shapes)
    if key not in _MEASURED:
        kept = read_memory(memory / MEMORY)
        if key not in kept:
            kept[key] = dict(race(shapes, ROWS[use], backward=use == "training"))
            write_memory(memory / MEMORY, kept)
        _MEASURED[key] = kept[key]
    return _MEASURED[key]


def race_key(use: Use, shapes: Sequence[Shape]) -> str:
    """What the figures depend on: processor and its instructions, threads, torch, shapes."""
    import torch

    facts = [
        cpu_model(),
        torch.backends.cpu.get_cpu_capability(),
        os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        f"{torch.get_num_threads()} threads",
        f"torch {torch.__version__}",
        use,
        " ".join(f"{rows}x{columns}" for rows, columns in shapes),
    ]
    return ", ".join(filter(None, facts))


def read_memory(file: Path) -> dict[str, Any]:
    """Figures of earlier races; a file that cannot be read is as none, since a race is short."""
    try:
        kept = json.loads(file.read_text())
        return {
            str(key): {name: float(figures[name]) for name in ("float32", "bfloat16")} for key, figures in kept.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_memory(file: Path, kept: Mapping[str, Gflops]) -> None:
    """Keeps the figures, whole or not at all; a disk that refuses costs another race and nothing else."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(kept, indent=2) + "\n")
        partial.replace(file)
    except OSError as error:
        logger.warning("The speed of this processor could not be noted in %s (%s)", file, error)


def race(
    shapes: Sequence[Shape],
    num_rows: int,
    backward: bool = False,
    seconds: float = RACE_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """GFLOP/s of matrix products in float32 and bfloat16, taken in turn.

    The best time of each product counts: whatever else runs can only add to it.

    Args:
        shapes: inputs and outputs of each matrix; larger ones are cut, so that a race is short for any model.
        num_rows: of the left factor.
        backward: whether the two products of the way back are raced as well.
        seconds: after which no further round begins.
        clock: seconds.
    """
    import torch

    sizes = [(min(inputs, _LARGEST_SIZE), min(outputs, _LARGEST_SIZE)) for inputs, outputs in shapes]
    products: dict[str, list[Callable[[], object]]] = {"float32": [], "bfloat16": []}
    for name, of_format in products.items():
        dtype = getattr(torch, name)
        for inputs, outputs in sizes:
            left, weight = (torch.ones(size, inputs, dtype=dtype) for size in (num_rows, outputs))
            of_format.append(lambda left=left, weight=weight: torch.nn.functional.linear(left, weight))
            if backward:
                gradient = torch.ones(num_rows, outputs, dtype=dtype)
                of_format.append(lambda gradient=gradient, weight=weight: gradient @ weight)
                of_format.append(lambda gradient=gradient, left=left: gradient.T @ left)
    best = {name: [math.inf] * len(of_format) for name, of_format in products.items()}
    with torch.inference_mode():
        begun, rounds = clock(), 0
        while rounds < 2 or clock() - begun < seconds:  # the first round warms up
            for name, of_format in products.items():
                for place, product in enumerate(of_format):
                    started = clock()
                    product()
                    if rounds:
                        best[name][place] = min(best[name][place], clock() - started)
            rounds += 1
    of_each = 3 if backward else 1
    flops = of_each * sum(2 * num_rows * inputs * outputs for inputs, outputs in sizes)
    return {name: flops / max(sum(times), 1e-9) / 1e9 for name, times in best.items()}


def record_of_choices() -> dict[str, dict[str, Any]]:
    """What was chosen in this process, by use, as plain JSON values."""
    return {use: asdict(choice) for use, choice in CHOSEN.items()}
