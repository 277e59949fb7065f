"""A model's shape from its configuration alone is that of its real weights."""

import json
import struct
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MambaConfig, Qwen2Config

from drift.errors import UserError
from drift.parameters import LoraParameters, ModelParameters
from drift.planning.disk import disk
from drift.planning.model_shape import PUBLISHED, find_config, model_shape
from drift.rollout.slots import cache_bytes_per_token
from drift.training.lora import add_adapter

SIZES = {"vocab_size": 61, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, **HEADS, head_dim=6),
    "llama, tied": LlamaConfig(**SIZES, **HEADS, tie_word_embeddings=True),
    "qwen2, biased": Qwen2Config(**SIZES, **HEADS),
}
# As the weight files on the Hub have them.
NUM_WEIGHTS = {
    "Qwen/Qwen2.5-3B-Instruct": 3_085_938_688,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
}


def stored_numbers(directory: Path) -> int:
    """Of all tensors in a directory's safetensors files, read from their headers."""
    count = 0
    for file in directory.glob("*.safetensors"):
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        count += sum(int(torch.tensor(shape).prod()) for shape in shapes)
    return count


@pytest.mark.parametrize(("path", "num_weights"), NUM_WEIGHTS.items())
def test_a_published_shape_has_as_many_weights_as_are_published(path, num_weights):
    config, source = find_config(ModelParameters(path=path))
    assert model_shape(config).num_weights == num_weights
    assert "published shapes" in source and set(NUM_WEIGHTS) == set(PUBLISHED)


def test_the_bundled_model_has_the_weights_and_the_bytes_that_are_reckoned(reference_model):
    config, source = find_config(ModelParameters(path=str(reference_model.path)))
    assert source == str(reference_model.path / "config.json")
    shape = model_shape(config)
    assert shape.num_weights == stored_numbers(reference_model.path)
    stored = sum(file.stat().st_size for file in reference_model.path.glob("*.safetensors"))
    assert disk(shape, "bfloat16", 0, 0).checkpoint == pytest.approx(stored, rel=1e-3)
    assert (
        shape.max_context_tokens
        == json.loads((reference_model.path / "config.json").read_text())["max_position_embeddings"]
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_token_takes_as_much_cache_as_is_reckoned(name):
    model = AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
    shape = model_shape(CONFIGS[name])
    assert shape.num_weights == sum(weight.numel() for weight in model.parameters())
    with torch.no_grad():
        assert 4 * shape.cached_numbers_per_token == cache_bytes_per_token(model, 128)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "down_proj"]])
@pytest.mark.parametrize("name", CONFIGS)
def test_adapters_have_as_many_weights_as_peft_makes(name, targets):
    lora = LoraParameters(rank=4, target_modules=targets)
    model = AutoModelForCausalLM.from_config(CONFIGS[name])
    add_adapter(model, lora)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert model_shape(CONFIGS[name], lora).num_trained == trained


def test_what_has_no_attention_is_refused():
    with pytest.raises(UserError, match="mamba has none"):
        model_shape(MambaConfig(vocab_size=61, hidden_size=16, num_hidden_layers=2))


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("somebody/some-model", "hf download somebody/some-model config.json"),
        ("/nowhere/model", "there is no directory /nowhere/model"),
        ("bundled:other", "there is no bundled model 'other'"),
    ],
)
def test_a_model_whose_shape_is_not_known_is_refused(path, sentence):
    with pytest.raises(UserError, match=sentence):
        find_config(ModelParameters(path=path))


def test_a_directory_without_configuration_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no config\.json"):
        find_config(ModelParameters(path=str(tmp_path)))
