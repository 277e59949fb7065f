"""LoRA: only adapters are trained, saved as an adapter or merged, and both are the policy that was trained."""

import json

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig

from drift.adapters import merged
from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import LoraParameters, ModelParameters, TrainingParameters, WeightingParameters
from drift.training.lora import add_adapter
from drift.training.policy import train_policy

SETTINGS = {"steps": 12, "batch_size": 8, "learning_rate": 3e-2, "precision": "float32", "processes": 1}
TOKEN_IDS = torch.arange(2, 20)[None]


@pytest.fixture
def train(tiny_turns, tiny_reference, tmp_path):
    def train(reference: ModelDirectory = tiny_reference, root: str = "work", **lora) -> tuple[ModelDirectory, list]:
        training = TrainingParameters(**SETTINGS, lora={"rank": 4, **lora})
        model = ModelParameters(path="tiny", dtype="float32")
        return train_policy(tiny_turns, reference, model, training, WeightingParameters(), 0, tmp_path / root)

    return train


def logits(policy: ModelDirectory) -> torch.Tensor:
    """As the engines use it: the adapter on the model beside it, if there is one."""
    model = AutoModelForCausalLM.from_pretrained(policy.path, dtype=torch.float32)
    model = merged(model, policy.adapter) if policy.adapter else model
    with torch.no_grad():
        return model(TOKEN_IDS).logits


def test_the_checkpoint_is_the_reference_with_an_adapter_inside(train, tiny_reference):
    checkpoint, log = train()
    assert checkpoint.adapter == checkpoint.path / "adapter"
    before, after = (load_file(policy.path / "model.safetensors") for policy in (tiny_reference, checkpoint))
    assert all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((checkpoint.adapter / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (4, 32, "tiny")
    assert log[-1]["weighted_mean_loss"] < log[0]["weighted_mean_loss"]
    assert not torch.allclose(logits(checkpoint), logits(tiny_reference), atol=1e-2)


def test_merged_and_unmerged_are_the_same_policy(train):
    beside, within = train()[0], train(merge=True)[0]
    assert within.adapter is None and not (within.path / "adapter").exists()
    torch.testing.assert_close(logits(beside), logits(within), rtol=1e-4, atol=1e-4)


def test_a_reference_that_has_an_adapter_is_merged_into_what_the_new_one_stands_on(train, tiny_reference):
    first, log_of_first = train()
    reference = ModelDirectory(first.path, {**first.provenance, "path": "first", "fingerprint": "tiny"})
    checkpoint, log = train(reference, root="second")
    assert log[0]["weighted_mean_loss"] < log_of_first[0]["weighted_mean_loss"]
    assert not torch.allclose(logits(checkpoint), logits(first), atol=1e-2)
    plain = load_file(tiny_reference.path / "model.safetensors"), load_file(checkpoint.path / "model.safetensors")
    assert any(not torch.equal(plain[0][name], plain[1][name]) for name in plain[0])


def test_dropout_is_part_of_what_is_trained(train):
    assert train()[0].fingerprint != train(dropout=0.3)[0].fingerprint


def test_gradients_are_those_of_peft_itself(tiny_policy):
    config = LlamaConfig(**tiny_policy.model.config.to_diff_dict())
    torch.manual_seed(0)
    ours, theirs = (AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").double() for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    torch.manual_seed(1)
    add_adapter(ours, LoraParameters(rank=4, alpha=8, target_modules=["q_proj", "down_proj"]))
    torch.manual_seed(1)
    settings = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    wrapped = peft.get_peft_model(theirs, settings, autocast_adapter_dtype=False)
    ours(TOKEN_IDS).logits.square().mean().backward()
    wrapped(TOKEN_IDS).logits.square().mean().backward()
    trained = {name: weight for name, weight in ours.named_parameters() if weight.requires_grad}
    assert len(trained) == 8 and all("lora_" in name for name in trained)
    expected = dict(theirs.named_parameters())
    assert all(torch.equal(weight.grad, expected[name].grad) for name, weight in trained.items())


def test_layers_the_model_does_not_have_are_one_clear_sentence(train):
    with pytest.raises(UserError, match=r"training\.lora\.target_modules: .*name layers the model has"):
        train(target_modules=["no_such_layer"])


def test_only_adapters_have_masters(train, tiny_policy):
    model = AutoModelForCausalLM.from_config(tiny_policy.model.config)
    add_adapter(model, LoraParameters(rank=2))
    counts = np.array([weight.numel() for weight in model.parameters() if weight.requires_grad])
    assert counts.sum() < 0.5 * sum(weight.numel() for weight in model.parameters())
