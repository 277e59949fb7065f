"""Floating-point operations of training, and how many a second a machine could do.

Counted is what the objective needs (model FLOPs, Chowdhery et al. 2022, appendix B): forward and backward of the
examples that are computed, without recomputation and without the output layer where nothing is predicted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from drift.training.decoder_layers import decoder_layers
from drift.training.examples import Example
from drift.training.model import PackedPolicy, output_layer

# Dense bfloat16 with float32 accumulation, as the makers state them; the first name that is found counts.
PEAK_FLOPS_PER_SECOND = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
}


@dataclass(frozen=True)
class ModelSize:
    """What the count needs to know of a model.

    Attributes:
        layer_flops: of all decoder layers' weights, per token: 6 a weight, 4 where it is not trained.
        output_flops: of the output layer's weights, per target token.
        attention_width: heads times their size, summed over the layers that have heads.
    """

    layer_flops: int
    output_flops: int
    attention_width: int

    @classmethod
    def of(cls, policy: PackedPolicy) -> "ModelSize":
        """The sizes of a policy, before its weights are sharded. All experts of a mixture are counted."""
        layers, config = decoder_layers(policy.model), policy.model.config.get_text_config()
        num_heads = getattr(config, "num_attention_heads", None) or 0
        head_size = getattr(config, "head_dim", None) or (config.hidden_size // num_heads if num_heads else 0)
        return cls(
            layer_flops=sum(_flops(weight) for layer in layers for weight in layer.parameters()),
            output_flops=_flops(output_layer(policy.model).weight),
            attention_width=len(layers) * num_heads * head_size,
        )


def _flops(weight: torch.Tensor) -> int:
    """Forward, gradient of the input, and gradient of the weight where it is trained: 2 each."""
    return weight.numel() * (6 if weight.requires_grad else 4)


def training_flops(size: ModelSize, examples: Sequence[Example]) -> float:
    """Per token and weight, and 12 per pair of tokens in causal attention and unit of its width."""
    num_tokens = sum(len(example.token_ids) for example in examples)
    num_targets = sum(len(example.targets) for example in examples)
    num_pairs = sum(len(example.token_ids) ** 2 / 2 for example in examples)
    return size.layer_flops * num_tokens + size.output_flops * num_targets + 12 * size.attention_width * num_pairs


def peak_flops_per_second(device: torch.device) -> float | None:
    """What one device can do in bfloat16; None where it is not known."""
    return peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_of(name: str) -> float | None:
    """The peak of a GPU by the name its driver gives it; None for one that is not in the table."""
    found = (peak for known, peak in PEAK_FLOPS_PER_SECOND.items() if re.search(rf"\b{known}\b", name))
    return next(found, None)
