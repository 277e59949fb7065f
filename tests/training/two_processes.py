"""Gradients of two processes, for the test that launches this under torchrun.

torchrun --nproc-per-node=2 two_processes.py REFERENCE OUT
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from drift.parameters import TrainingParameters
from drift.training.decoder_layers import checkpoint_activations, decoder_layers
from drift.training.examples import Example
from drift.training.flops import ModelSize
from drift.training.loop import Trainer
from drift.training.model import load_policy
from drift.training.optimizer import NamedAdamW
from drift.training.processes import Processes
from drift.training.sharded_weights import ShardedWeights

CPU = torch.device("cpu")
BATCH_SIZE = 9


def examples() -> list[Example]:
    """Of very different lengths, so that processes differ in packs; one of weight zero, one huge."""
    generator = np.random.default_rng(0)
    lengths, weights = [40, 9, 14, 6, 11, 7], [1.0, 0.0, 50.0, 0.3, 1.7, 2.0]
    return [
        Example(str(i), 0, generator.integers(1, 61, length), np.arange(length // 2, length), weights[i])
        for i, length in enumerate(lengths)
    ]


def naive_gradient(reference: Path) -> tuple[float, dict[str, torch.Tensor]]:
    """Of the padded batch, all logits, float64."""
    model = AutoModelForCausalLM.from_pretrained(reference, dtype=torch.float64, attn_implementation="sdpa").eval()
    rows = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(e.token_ids) for e in examples()], batch_first=True)
    log_pi = model(rows, use_cache=False).logits.log_softmax(-1)
    loss = torch.zeros((), dtype=torch.float64)
    for row, example in enumerate(examples()):
        nll = [-log_pi[row, target - 1, example.token_ids[target]] for target in example.targets]
        loss = loss + example.weight * sum(nll) / len(nll) / BATCH_SIZE
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in model.named_parameters()}


def sharded_gradient(reference: Path, dtype: torch.dtype, processes: Processes, recompute: bool):
    """What training has before it clips: the sum over packs and processes."""
    policy = load_policy(reference, CPU)
    size, weights = ModelSize.of(policy), ShardedWeights(policy, dtype, CPU)
    forwards = []
    for layer in decoder_layers(policy.model):
        layer.forward = counted(layer.forward, forwards)
    if recompute:  # as where the memory is found not to suffice, once there are shards
        checkpoint_activations(policy.model)
    training = TrainingParameters(steps=1, batch_size=BATCH_SIZE, learning_rate=1e-3, micro_batch_tokens=20)
    optimizer = NamedAdamW(weights.by_name, training)
    trainer = Trainer(policy, weights, optimizer, training, 0.0, 0, processes, size)
    loss, *_ = processes.sum(trainer._accumulate(1, examples(), BATCH_SIZE).tolist())
    gradients = {name: weight.grad.full_tensor().double() for name, weight in weights.by_name.items()}
    return loss, gradients, trainer._clip(), len(forwards)


def counted(forward, calls: list):
    """A layer's forward pass that leaves a mark."""

    def mark(*arguments, **settings):
        calls.append(1)
        return forward(*arguments, **settings)

    return mark


def main() -> None:
    processes = Processes.join()
    reference, out = Path(sys.argv[1]), Path(sys.argv[2])
    loss, expected = naive_gradient(reference)
    norm = torch.linalg.norm(torch.cat([gradient.flatten() for gradient in expected.values()]))
    errors, passes = {}, {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        for recompute in (False, True):
            found_loss, found, found_norm, forwards = sharded_gradient(reference, dtype, processes, recompute)
            difference = torch.cat([(found[name] - expected[name]).flatten() for name in expected])
            errors[f"{dtype}, recomputed: {recompute}"] = {
                "loss": abs(found_loss - loss) / loss,
                "gradient": (torch.linalg.norm(difference) / norm).item(),
                "norm": abs(found_norm - norm.item()) / norm.item(),
            }
            passes[recompute] = forwards
    if processes.rank == 0:
        out.write_text(json.dumps({"errors": errors, "passes": [passes[False], passes[True]]}))


if __name__ == "__main__":
    main()
