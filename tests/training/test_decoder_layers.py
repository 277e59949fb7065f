import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from drift.training.attention import PACKED
from drift.training.decoder_layers import checkpoint_activations, compile_layers, decoder_layers
from drift.training.examples import Example
from drift.training.loop import accumulate
from drift.training.model import PackedPolicy, packed_policy
from drift.training.packing import packed

CPU = torch.device("cpu")


@pytest.fixture
def policy(tiny_policy) -> PackedPolicy:
    torch.manual_seed(0)
    config = LlamaConfig(**tiny_policy.model.config.to_diff_dict())
    return packed_policy(AutoModelForCausalLM.from_config(config, attn_implementation=PACKED).float())


def pack_of(*lengths: int):
    examples = [
        Example(str(length), 0, torch.arange(2, 2 + length).numpy(), torch.arange(1, length).numpy(), 1.0)
        for length in lengths
    ]
    return packed(examples, CPU)


def gradient(policy: PackedPolicy, *lengths: int) -> torch.Tensor:
    accumulate(policy, pack_of(*lengths), 4)
    flat = torch.cat([weight.grad.flatten() for weight in policy.parameters()])
    policy.zero_grad()
    return flat


def test_layers_are_found_by_the_name_transformers_gives_them(policy):
    assert [type(layer).__name__ for layer in decoder_layers(policy.model)] == ["LlamaDecoderLayer"] * 2


def test_layers_computed_again_give_the_same_gradient(policy):
    expected = gradient(policy, 9, 4)
    checkpoint_activations(policy.model)
    assert torch.equal(gradient(policy, 9, 4), expected)


@pytest.mark.long
def test_compiled_layers_serve_packs_of_any_number_and_length(policy, monkeypatch):
    """As many graphs after one pack as after many; with the compiler that traces and does not generate code."""
    packs = [(9, 4), (5,), (7, 8, 3), (20, 2), (3, 3, 3, 3, 3), (30,), (2, 2, 2, 2, 2, 2, 2), (11, 13)]
    expected = [gradient(policy, *lengths) for lengths in packs]
    compiled = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda layer, **how: compiled(layer, backend="aot_eager", **how))
    torch._dynamo.reset()
    compile_layers(policy.model)
    graphs = []
    for lengths, gradient_of_pack in zip(packs, expected, strict=True):
        torch.testing.assert_close(gradient(policy, *lengths), gradient_of_pack, rtol=1e-4, atol=1e-6)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[-1] == graphs[1] > 0
