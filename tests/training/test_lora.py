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
from drift.training.examples import Example
from drift.training.loop import accumulate
from drift.training.lora import add_adapter
from drift.training.master_weights import MasterWeights
from drift.training.model import load_policy
from drift.training.optimizer import NamedAdamW
from drift.training.packing import packed, packs
from drift.training.policy import train_policy

SETTINGS = {"steps": 12, "batch_size": 8, "learning_rate": 3e-2, "precision": "float32", "processes": 1}
ALL_AT_ONCE = SETTINGS | {"batch_size": 48, "learning_rate": 1e-2, "warmup_share": 0.0}
"""Every step sees all examples: losses of two batches would differ by more than a training changes."""
TOKEN_IDS = torch.arange(2, 20)[None]
SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": False,
}


@pytest.fixture
def train(tiny_turns, tiny_reference, tmp_path):
    def train(
        reference: ModelDirectory = tiny_reference, root: str = "work", settings: dict = SETTINGS, **lora
    ) -> tuple[ModelDirectory, list]:
        training = TrainingParameters(**settings, lora={"rank": 4, **lora})
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
    checkpoint, _ = train()
    assert checkpoint.adapter == checkpoint.path / "adapter"
    before, after = (load_file(policy.path / "model.safetensors") for policy in (tiny_reference, checkpoint))
    assert all(torch.equal(before[name], after[name]) for name in before)
    config = json.loads((checkpoint.adapter / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (4, 32, "tiny")
    assert not torch.allclose(logits(checkpoint), logits(tiny_reference), atol=1e-2)


def test_the_loss_of_the_same_examples_falls(train):
    _, log = train(settings=ALL_AT_ONCE | {"steps": 3, "learning_rate": 1e-3})
    assert log[-1]["weighted_mean_loss"] < log[0]["weighted_mean_loss"]


def test_merged_and_unmerged_are_the_same_policy(train):
    beside, within = train()[0], train(merge=True)[0]
    assert within.adapter is None and not (within.path / "adapter").exists()
    torch.testing.assert_close(logits(beside), logits(within), rtol=1e-4, atol=1e-4)


def test_a_reference_that_has_an_adapter_is_merged_into_what_the_new_one_stands_on(train, tiny_reference):
    first, log_of_first = train(settings=ALL_AT_ONCE)
    reference = ModelDirectory(first.path, {**first.provenance, "path": "first", "fingerprint": "tiny"})
    checkpoint, log = train(reference, root="second", settings=ALL_AT_ONCE)
    assert log[0]["weighted_mean_loss"] < log_of_first[0]["weighted_mean_loss"]
    assert not torch.allclose(logits(checkpoint), logits(first), atol=1e-2)
    plain = load_file(tiny_reference.path / "model.safetensors"), load_file(checkpoint.path / "model.safetensors")
    assert any(not torch.equal(plain[0][name], plain[1][name]) for name in plain[0])


def test_dropout_is_part_of_what_is_trained(train):
    assert train()[0].fingerprint != train(dropout=0.3)[0].fingerprint


def test_gradients_are_those_of_the_padded_model_with_peft(save_model):
    reference = save_model(LlamaConfig(**SIZES), torch.float64)
    names = ["q_proj", "down_proj"]
    policy = load_policy(reference.path, torch.device("cpu"))
    add_adapter(policy.model, LoraParameters(rank=4, alpha=8, target_modules=names))
    plain = AutoModelForCausalLM.from_pretrained(reference.path, dtype=torch.float64, attn_implementation="sdpa")
    settings = peft.LoraConfig(r=4, lora_alpha=8, target_modules=names, task_type="CAUSAL_LM")
    peft.get_peft_model(plain, settings, autocast_adapter_dtype=False)
    generator = torch.Generator().manual_seed(0)
    theirs = dict(plain.named_parameters())
    trained = {name: weight for name, weight in policy.model.named_parameters() if weight.requires_grad}
    for name, weight in trained.items():  # an adapter begins with zeros, which would hide half of the gradients
        weight.data.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 0.1)
        theirs[name].data.copy_(weight.data)

    examples = [Example("p", 0, np.arange(2, 2 + length), np.array([3, length - 1]), 1.5) for length in (12, 7, 20)]
    for pack in packs(examples, 24):
        accumulate(policy, packed(pack, torch.device("cpu")), 3)
    loss = torch.zeros((), dtype=torch.float64)
    for example in examples:
        log_pi = plain(torch.from_numpy(example.token_ids)[None]).logits[0].log_softmax(-1)
        nll = [-log_pi[target - 1, example.token_ids[target]] for target in example.targets]
        loss = loss + example.weight * sum(nll) / len(nll) / 3
    loss.backward()
    assert len(trained) == 8 and all("lora_" in name for name in trained)
    for name, weight in trained.items():
        assert torch.linalg.norm(theirs[name].grad) > 0
        torch.testing.assert_close(weight.grad, theirs[name].grad, rtol=1e-9, atol=1e-12)


def test_layers_the_model_does_not_have_are_one_clear_sentence(train):
    with pytest.raises(UserError, match=r"training\.lora\.target_modules: .*name layers the model has"):
        train(target_modules=["no_such_layer"])


def test_only_adapters_have_masters_and_moments(save_model):
    policy = load_policy(save_model(LlamaConfig(**SIZES)).path, torch.device("cpu"))
    add_adapter(policy.model, LoraParameters(rank=2))
    masters = MasterWeights(policy.model, torch.bfloat16)
    optimizer = NamedAdamW(masters.by_name, TrainingParameters(**SETTINGS))
    assert all("lora_" in name for name in optimizer.tensors())
    assert {weight.dtype for weight in policy.model.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in masters.by_name.values()} == {torch.float32}
    assert len(optimizer.tensors()) == 3 * len(masters.by_name) == 3 * 2 * 7 * 2
