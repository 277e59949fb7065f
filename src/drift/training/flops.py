"""Floating-point operations of training, and how many a second a machine could do.

Counted is what the objective needs (model FLOPs, Chowdhery et al. 2022, appendix B): forward and backward of the
examples that are computed, without recomputation and without the output layer where nothing is predicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from drift.training.decoder_layers import decoder_layers
from drift.training.examples import Example
from drift.training.model import PackedPolicy, output_layer

# Dense bfloat16 with float32 accumulation, as the makers state them.
PEAK_FLOPS_PER_SECOND = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
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
        layer_weights: weights of all decoder layers.
        output_weights: weights of the output layer.
        attention_width: heads times their size, summed over the layers.
    """

    layer_weights: int
    output_weights: int
    attention_width: int

    @classmethod
    def of(cls, policy: PackedPolicy) -> "ModelSize":
        """The sizes of a policy, before its weights are sharded."""
        layers, config = decoder_layers(policy.model), policy.model.config
        head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return cls(
            layer_weights=sum(weight.numel() for layer in layers for weight in layer.parameters()),
            output_weights=output_layer(policy.model).weight.numel(),
            attention_width=len(layers) * config.num_attention_heads * head_size,
        )


def training_flops(size: ModelSize, examples: Sequence[Example]) -> float:
    """6 per weight and token, 6 per pair of tokens in causal attention and unit of its width (three times forward)."""
    num_tokens = sum(len(example.token_ids) for example in examples)
    num_targets = sum(len(example.targets) for example in examples)
    num_pairs = sum(len(example.token_ids) ** 2 / 2 for example in examples)
    return 6 * (size.layer_weights * num_tokens + size.output_weights * num_targets) + 12 * (
        size.attention_width * num_pairs
    )


def peak_flops_per_second(device: torch.device) -> float | None:
    """What one device can do in bfloat16; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for known, peak in PEAK_FLOPS_PER_SECOND.items() if known in name), None)
