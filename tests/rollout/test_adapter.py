"""A LoRA adapter as part of the reference policy: served by both engines, merged for training."""

import asyncio
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from drift.adapters import merged
from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import EngineParameters, ModelParameters, ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import chat_format_of
from drift.rollout.engine import Sampling
from drift.rollout.reference import prepare_reference_model
from drift.rollout.transformers_engine import start_transformers
from drift.rollout.vllm_engine import start_vllm
from drift.training.model import load_policy

peft = pytest.importorskip("peft")

NUM_TOKENS = 12


@pytest.fixture(scope="module")
def adapter(reference_model: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes what the model says."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(reference_model.path, dtype=torch.float32)
    config = peft.LoraConfig(
        r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"
    )
    wrapped = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    directory = tmp_path_factory.mktemp("adapter")
    wrapped.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def policy(reference_model: ModelDirectory, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    model = ModelParameters(path=str(reference_model.path), adapter=str(adapter))
    return prepare_reference_model(model, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def prompt(reference_model: ModelDirectory) -> list[int]:
    chat = chat_format_of(reference_model.path, ProtocolParameters())
    return chat.prompt_ids(Problem("p", "What is 14 + 15?", "29", "math", "arithmetic"))


@pytest.fixture(scope="module")
def expected_logits(policy: ModelDirectory) -> torch.nn.Module:
    """The model with the adapter in its weights."""
    return load_policy(policy.path, torch.device("cpu"), False, policy.adapter).model


def test_the_adapter_is_part_of_the_policy_and_of_its_name(policy, reference_model, adapter, tmp_path) -> None:
    assert policy.fingerprint != reference_model.fingerprint
    assert policy.provenance["adapter"] == str(adapter)
    policy.write_to(tmp_path / "copy")
    copied = ModelDirectory.open(tmp_path / "copy")
    assert copied.adapter == tmp_path / "copy" / "adapter"
    assert copied.is_at(tmp_path / "copy") and policy.is_at(tmp_path / "copy")
    assert reference_model.adapter is None


def test_training_starts_from_the_merged_weights(reference_model, adapter, expected_logits, prompt) -> None:
    plain = AutoModelForCausalLM.from_pretrained(reference_model.path, dtype=torch.float32)
    ids = torch.tensor([prompt])
    with torch.no_grad():
        before, wanted = plain(ids).logits, expected_logits(ids).logits
        served = peft.PeftModel.from_pretrained(plain, str(adapter))(ids).logits
    assert not torch.allclose(before, wanted, atol=0.1)
    assert torch.allclose(served, wanted, atol=1e-3)


@pytest.mark.parametrize(
    "start",
    [pytest.param(start_vllm, marks=pytest.mark.long), start_transformers],
    ids=["vllm", "transformers"],
)
def test_engines_sample_from_the_model_with_its_adapter(start, policy, expected_logits, prompt) -> None:
    async def respond() -> list[int]:
        async with start(
            policy.path,
            EngineParameters(max_sequences=4, cpu_cache_gib=1),
            dtype="float32",
            max_context_tokens=128,
            seed=0,
            trust_remote_code=False,
            adapter=policy.adapter,
        ) as engine:
            return (await engine.generate(prompt, Sampling(0.0, 1.0, NUM_TOKENS, frozenset()))).token_ids

    said = asyncio.run(respond())
    with torch.no_grad():
        logits = expected_logits(torch.tensor([[*prompt, *said]])).logits[0, len(prompt) - 1 : -1]
    chosen = logits.gather(1, torch.tensor(said)[:, None])[:, 0]
    assert (logits.max(dim=1).values - chosen).max() < 0.01


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "is not a LoRA adapter"),
        ({"adapter_config.json": '{"peft_type": "LORA"}'}, "is not a LoRA adapter"),
        ({"adapter_config.json": '{"peft_type": "IA3"}', "adapter_model.safetensors": ""}, "is a IA3 adapter"),
    ],
)
def test_what_is_not_a_lora_adapter_is_refused(reference_model, tmp_path, files, complaint) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    model = ModelParameters(path=str(reference_model.path), adapter=str(tmp_path))
    with pytest.raises(UserError, match=complaint):
        prepare_reference_model(model, tmp_path / "work")


def test_an_adapter_of_another_model_is_refused(reference_model, adapter, tmp_path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "target_modules": ["no_such_module"]}))
    (tmp_path / "adapter_model.safetensors").write_bytes((adapter / "adapter_model.safetensors").read_bytes())
    model = AutoModelForCausalLM.from_pretrained(reference_model.path, dtype=torch.float32)
    with pytest.raises(UserError, match="does not fit the model"):
        merged(model, tmp_path)
