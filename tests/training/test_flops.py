"""The formula of a training's floating-point operations against torch's counter of what was really multiplied."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig

from drift.training.attention import PACKED, register_packed_attention
from drift.training.examples import Example
from drift.training.flops import ModelSize, training_flops
from drift.training.loop import accumulate
from drift.training.model import PackedPolicy, packed_policy
from drift.training.packing import packed


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def policy(request) -> PackedPolicy:
    """Wide enough for products to be all that counts; heads larger than hidden size / heads."""
    register_packed_attention()
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        tie_word_embeddings=request.param,
    )
    return packed_policy(AutoModelForCausalLM.from_config(config, attn_implementation=PACKED))


def example(length: int, num_targets: int) -> Example:
    ids = np.random.default_rng(length).integers(0, 300, length)
    return Example("", 0, ids, np.arange(length - num_targets, length), 1.0)


def multiplied(policy: PackedPolicy, examples: list[Example]) -> int:
    """What one forward and backward pass multiplies and adds."""
    with FlopCounterMode(display=False) as counter:
        accumulate(policy, packed(examples, torch.device("cpu")), len(examples))
    return counter.get_total_flops()


PACKS = {
    "one, all targets": [(256, 255)],
    "several, all targets": [(120, 119), (64, 63), (200, 199)],
    "few targets": [(250, 5), (180, 40)],
}


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_the_formula_is_what_is_multiplied_without_recomputation(policy, pack):
    """Blocks of 256 queries also multiply the half of the pairs that causality hides; the formula leaves them out."""
    examples = [example(*sizes) for sizes in pack]
    size = ModelSize.of(policy)
    hidden_pairs = 12 * size.attention_width * sum(length**2 / 2 for length, _ in pack)
    expected = multiplied(policy, examples) - hidden_pairs
    assert training_flops(size, examples) == pytest.approx(expected, rel=0.02)


def test_the_output_layer_counts_at_targets_alone(policy):
    size = ModelSize.of(policy)
    few, many = (training_flops(size, [example(100, targets)]) for targets in (1, 51))
    assert many - few == 50 * 6 * 64 * 300


def test_a_packed_sequence_costs_what_it_costs_alone(policy):
    size, examples = ModelSize.of(policy), [example(120, 60), example(30, 10)]
    assert training_flops(size, examples) == sum(training_flops(size, [one]) for one in examples)
