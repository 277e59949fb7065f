"""One optimiser step on a paper-shaped mix of examples: the naive way against ours, and what each measure brings.

    python benchmarks/training.py                        # the bundled model
    python benchmarks/training.py --shape qwen2.5-3b     # a random model of that shape, where a GPU holds it

Contexts of 200 to 1,900 tokens, targets of up to 512, weights as a real rollout gave them (the embedded sums, beta 0.1,
problems nobody solved left out). Every way of training has a process of its own; rounds are taken in turn and medians
compared. All compute in bfloat16 with float32 masters and fused AdamW; they differ in what they compute, and the last
is the training loop itself:

- naive: random order, padded micro-batches of 2, float32 logits at all positions, every example
- without padding: packs, each sequence attending to itself
- targets only: and the output layer at target positions, a few rows at a time
- ours: and no computation for examples whose weight is below `weighting.prune_below` (0.001)

Peak memory is counted above what the model takes by itself (weights, masters, gradients, moments). Written to
`benchmarks/training.json`, for a shape to `benchmarks/training-SHAPE.json`.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen2Config

from drift.model_directory import ModelDirectory
from drift.parameters import (
    EngineParameters,
    ModelParameters,
    ProtocolParameters,
    TrainingParameters,
    WeightingParameters,
)
from drift.problems.sources import ArithmeticSource, load_problems
from drift.rollout.plan import Rollout
from drift.rollout.reference import prepare_reference_model
from drift.rollout.sample import sample
from drift.training.attention import PACKED, register_packed_attention
from drift.training.examples import Example
from drift.training.flops import ModelSize, peak_flops_per_second, training_flops
from drift.training.loop import Trainer
from drift.training.master_weights import MasterWeights
from drift.training.model import PackedPolicy, output_layer, packed_policy
from drift.training.objective import weighted_nll
from drift.training.optimizer import NamedAdamW
from drift.training.packing import Pack, most_tokens, packed, packs
from drift.training.processes import Processes
from drift.weighting.retention import weigh_trajectories
from drift.weighting.returns import RETURN_INPUTS, shape_returns

RESULT = Path(__file__).with_suffix(".json")
BUNDLED = ModelParameters(path="bundled:smollm2-135m-instruct")
WAYS = ("naive", "without padding", "targets only", "ours")
PRUNE_BELOW = 1e-3
SHAPES = {
    "qwen2.5-3b": Qwen2Config(
        vocab_size=151936,
        hidden_size=2048,
        intermediate_size=11008,
        num_hidden_layers=36,
        num_attention_heads=16,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
}


def rollout_weights(reference: ModelDirectory, directory: Path) -> list[float]:
    """The weights of a real rollout at the default setting, in ascending order."""
    rollout = Rollout(
        policy=reference,
        model=BUNDLED,
        problems=load_problems(ArithmeticSource(source="arithmetic", limit=32), "train", 0),
        protocol=ProtocolParameters(),
        num_trajectories=8,
        temperature=0.8,
        top_p=1.0,
        max_new_tokens=24,
        seed=0,
    )
    weighting = WeightingParameters(beta=0.1, unsolved="drop")
    trajectories = sample(rollout, EngineParameters(), 8192, directory, "sampling")
    weights: list[float] = []
    for table in trajectories.tables():
        returns = shape_returns(
            table.select([name for name in table.column_names if name in _flat(RETURN_INPUTS)]), weighting
        )
        weights += weigh_trajectories(table, returns, weighting)["weight"].to_pylist()
    return sorted(weights)


def _flat(columns: Any) -> set[str]:
    return {column.split(".")[0] for column in columns}


def mix(weights: list[float], count: int, vocabulary: int) -> list[Example]:
    """Examples of the paper's lengths, whose weights are evenly spaced quantiles of the rollout's."""
    generator = np.random.default_rng(0)
    chosen = [weights[int((index + 0.5) * len(weights) / count)] for index in range(count)]
    examples = []
    for index, weight in enumerate(generator.permutation(chosen)):
        context, target = int(generator.integers(200, 1901)), int(generator.integers(32, 513))
        ids = generator.integers(3, vocabulary, context + target)
        examples.append(Example(str(index), 0, ids, np.arange(context, context + target), float(weight)))
    return examples


def naive_nll(policy: PackedPolicy, examples: list[Example], device: torch.device) -> tuple[torch.Tensor, Pack]:
    """Float32 logits at all positions of a padded micro-batch."""
    rows = [torch.from_numpy(example.token_ids) for example in examples]
    token_ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True).to(device)
    logits = policy.model(input_ids=token_ids, attention_mask=mask, use_cache=False).logits.float()
    nll = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), token_ids[:, 1:], reduction="none")
    of_targets = [nll[row, torch.from_numpy(example.targets - 1).to(device)] for row, example in enumerate(examples)]
    return torch.cat(of_targets), packed(examples, device)


def unpadded_nll(policy: PackedPolicy, examples: list[Example], device: torch.device) -> tuple[torch.Tensor, Pack]:
    """Float32 logits at all positions of a pack."""
    pack = packed(examples, device)
    logits = output_layer(policy.model)(policy.hidden_states(pack)).float()
    nll = torch.nn.functional.cross_entropy(logits[:-1], pack.token_ids_L[1:], reduction="none")
    return nll[pack.target_T - 1], pack


def targets_nll(policy: PackedPolicy, examples: list[Example], device: torch.device) -> tuple[torch.Tensor, Pack]:
    """What training does."""
    pack = packed(examples, device)
    return policy(pack), pack


def step(way: str, trainer: Trainer, examples: list[Example]) -> None:
    """One optimiser step on the whole batch."""
    if way == "ours":
        training = trainer.training.model_copy(update={"batch_size": len(examples)})
        list(replace(trainer, training=training, prune_below=PRUNE_BELOW).steps(examples, 0))
        return
    device = trainer.processes.device
    max_tokens = most_tokens(trainer.training.micro_batch_tokens, device)
    if way == "naive":
        shuffled = random.Random(0).sample(examples, len(examples))
        cut, nll_of = [shuffled[start : start + 2] for start in range(0, len(shuffled), 2)], naive_nll
    else:
        cut, nll_of = packs(examples, max_tokens), unpadded_nll if way == "without padding" else targets_nll
    for group in cut:
        nll, pack = nll_of(trainer.policy, group, device)
        weighted_nll(nll, pack.example_T, pack.weight_E.float(), pack.num_targets_E, len(examples)).backward()
        trainer.weights.collect_gradients()
    trainer._clip()
    trainer.optimizer.step(1e-5)
    trainer.weights.publish()
    if device.type == "cuda":
        torch.cuda.synchronize()


def trainer_of(model: PreTrainedModel, max_tokens: int | None, device: torch.device) -> Trainer:
    """The model with masters and optimiser."""
    training = TrainingParameters(steps=1, batch_size=1, learning_rate=1e-5, micro_batch_tokens=max_tokens)
    policy = packed_policy(cast("PreTrainedModel", torch.nn.Module.to(model, device)))
    size, weights = ModelSize.of(policy), MasterWeights(policy.model, torch.bfloat16)
    optimizer = NamedAdamW(weights.by_name, training)
    return Trainer(policy, weights, optimizer, training, 0.0, 0, Processes.alone(device), size)


class Peak:
    """Peak memory of this process (of its GPU, where it has one) above what was there before."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")
            self.before = self._status("VmRSS")

    def bytes(self) -> int:
        """So far."""
        peak = torch.cuda.max_memory_allocated() if self.device.type == "cuda" else self._status("VmHWM")
        return peak - self.before

    def _status(self, name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(way: str, shape: str | None, path: str, batch: Path, max_tokens: int) -> dict[str, Any]:
    """One way in this process: a short step that makes room for everything, then the measured one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    register_packed_attention()
    attention = "sdpa" if way == "naive" else PACKED
    if shape:
        torch.set_default_device(device)
        model = AutoModelForCausalLM.from_config(SHAPES[shape], dtype=torch.bfloat16, attn_implementation=attention)
        torch.set_default_device("cpu")
    else:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16, attn_implementation=attention)
    trainer = trainer_of(model, max_tokens, device)
    vocabulary = model.config.vocab_size
    examples = mix(json.loads(batch.read_text())["weights"], json.loads(batch.read_text())["count"], vocabulary)
    warm = [Example("", 0, example.token_ids[:16], np.arange(12, 16), 1.0) for example in examples[:2]]
    step(way, trainer, warm)
    if device.type == "cuda":
        step(way, trainer, examples)
    peak, started = Peak(device), time.perf_counter()
    step(way, trainer, examples)
    seconds = time.perf_counter() - started
    computed = [example for example in examples if way != "ours" or example.weight >= PRUNE_BELOW]
    flops = training_flops(trainer.size, computed) / seconds
    known_peak = peak_flops_per_second(device)
    return {
        "seconds": seconds,
        "examples_per_second": len(examples) / seconds,
        "useful_tokens_per_second": sum(len(example.token_ids) for example in computed) / seconds,
        "computed_examples": len(computed),
        "peak_gib": peak.bytes() / 2**30,
        "model_tflops_per_second": flops / 1e12,
        "mfu": flops / known_peak if known_peak else None,
        "size": asdict(trainer.size),
    }


def matmul_tflops(device: torch.device) -> float:
    """The fastest bfloat16 product of this machine, over a few shapes."""
    best = 0.0
    for rows, inner, columns in ((4096, 576, 1536), (4096, 1536, 576), (2048, 2048, 2048), (4096, 4096, 4096)):
        left = torch.randn(rows, inner, dtype=torch.bfloat16, device=device)
        right = torch.randn(columns, inner, dtype=torch.bfloat16, device=device)
        for _ in range(8):
            started = time.perf_counter()
            torch.nn.functional.linear(left, right)
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * rows * inner * columns / (time.perf_counter() - started))
    return best / 1e12


def main() -> None:
    """Prints the ways beside each other and what each is to the naive one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument("--examples", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=None)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.shape, options.model, options.batch, options.max_tokens)))
        return
    with tempfile.TemporaryDirectory() as directory:
        reference = prepare_reference_model(BUNDLED, Path(directory))
        batch = Path(directory) / "batch.json"
        weights = rollout_weights(reference, Path(directory) / "rollout")
        batch.write_text(json.dumps({"weights": weights, "count": options.examples}))
        chosen = {"--shape": options.shape, "--max-tokens": options.max_tokens}
        settings = [word for name, value in chosen.items() if value is not None for word in (name, str(value))]
        common = ["--model", str(reference.path), "--batch", str(batch), *settings]
        rounds: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        peaks = []
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        for _ in range(options.rounds):
            peaks.append(matmul_tflops(device))
            for way in WAYS:
                command = [sys.executable, __file__, "--way", way, *common]
                printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                rounds[way].append(json.loads(printed.splitlines()[-1]))
                print(way, {name: value for name, value in rounds[way][-1].items() if name != "size"}, flush=True)
    report(options, rounds, statistics.median(peaks))


def report(options: argparse.Namespace, rounds: dict[str, list[dict[str, Any]]], peak: float) -> None:
    """Medians, ratios to the naive way, and the share of the machine's own matrix products."""
    names = ("seconds", "examples_per_second", "useful_tokens_per_second", "peak_gib", "model_tflops_per_second")
    ways = {
        way: {name: round(statistics.median(row[name] for row in rows), 3) for name in names}
        | {"computed_examples": rows[0]["computed_examples"], "mfu": rows[0]["mfu"]}
        for way, rows in rounds.items()
    }
    naive = ways["naive"]
    for way in ways.values():
        way["speed_to_naive"] = round(way["examples_per_second"] / naive["examples_per_second"], 2)
        way["memory_to_naive"] = round(way["peak_gib"] / naive["peak_gib"], 2)
    shape = f" --shape {options.shape}" if options.shape else ""
    result = {
        "command": f"python benchmarks/training.py{shape} --examples {options.examples} --rounds {options.rounds}",
        "examples": options.examples,
        "rounds": options.rounds,
        "max_tokens": options.max_tokens,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "2 cores of a CPU",
        "ways": ways,
        "matmul_tflops_per_second": round(peak, 3),
        "share_of_matmul_peak": round(ways["ours"]["model_tflops_per_second"] / peak, 2),
    }
    print(json.dumps(result, indent=2))
    target = RESULT.with_stem(f"{RESULT.stem}-{options.shape}") if options.shape else RESULT
    target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
