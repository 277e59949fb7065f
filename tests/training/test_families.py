"""Tiny random models of the families people use: loss and gradient as the model itself gives them, padded and plain."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GraniteConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

from drift.parameters import ModelParameters, TrainingParameters, WeightingParameters
from drift.training.examples import Example
from drift.training.loop import accumulate
from drift.training.model import load_policy
from drift.training.packing import packed, packs
from drift.training.policy import train_policy

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
PACKED_FAMILIES = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=False),
    "llama, tied": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama, biased": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
    "qwen2": Qwen2Config(**SIZES),
    "qwen2, sliding": Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "qwen3, tied": Qwen3Config(**SIZES, tie_word_embeddings=True),
    "gemma": GemmaConfig(**SIZES),
    "gemma3": Gemma3TextConfig(**SIZES, sliding_window=4, query_pre_attn_scalar=8),
    "mistral, sliding": MistralConfig(**SIZES, sliding_window=4),
    "granite, scaled logits": GraniteConfig(**SIZES, logits_scaling=3.0),
    "cohere2, scaled logits": Cohere2Config(**SIZES, logit_scale=0.3, sliding_window=4),
    "phi3, dropout": Phi3Config(**SIZES, resid_pdrop=0.5, embd_pdrop=0.5, attention_dropout=0.5),
}
ONE_BY_ONE = {
    "gemma2, capped scores": Gemma2Config(
        **SIZES, sliding_window=4, query_pre_attn_scalar=8, attn_logit_softcapping=1.0
    ),
    "mamba, a state": MambaConfig(vocab_size=61, hidden_size=16, num_hidden_layers=2, state_size=4, pad_token_id=0),
}
# They compute parts in float32 whatever they are asked for; float64 is then no more exact than that.
FLOAT32_INSIDE = {"gemma", "gemma3", "cohere2, scaled logits", *ONE_BY_ONE}


def examples() -> list[Example]:
    generator = np.random.default_rng(0)
    lengths, targets = [9, 14, 6, 11], [[3, 4, 8], [10, 11, 12, 13], [5], [2, 3, 9, 10]]
    return [
        Example(str(i), 0, generator.integers(1, 61, length), np.array(targets[i]), float(generator.exponential()))
        for i, length in enumerate(lengths)
    ]


def naive(model, batch: list[Example], batch_size: int) -> torch.Tensor:
    """All logits of a padded batch, example by example, token by token."""
    longest = max(len(example.token_ids) for example in batch)
    rows = np.stack([np.pad(example.token_ids, (0, longest - len(example.token_ids))) for example in batch])
    logits = model(input_ids=torch.from_numpy(rows), use_cache=False).logits
    total = torch.zeros((), dtype=logits.dtype)
    for example, of_example in zip(batch, logits, strict=True):
        log_pi = of_example.log_softmax(-1)
        nll = [-log_pi[target - 1, example.token_ids[target]] for target in example.targets]
        total = total + example.weight * sum(nll) / len(nll)
    return total / batch_size


def gradients(model) -> torch.Tensor:
    return torch.cat(
        [torch.zeros(w.numel(), dtype=w.dtype) if w.grad is None else w.grad.flatten() for w in model.parameters()]
    )


@pytest.mark.parametrize("name", [*PACKED_FAMILIES, *ONE_BY_ONE])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_loss_and_gradient_are_those_of_the_padded_model(save_model, name, dtype, tolerance):
    reference = save_model((PACKED_FAMILIES | ONE_BY_ONE)[name], dtype)
    policy = load_policy(reference.path, torch.device("cpu"))
    assert policy.packs == (name in PACKED_FAMILIES)
    tolerance = max(tolerance, 1e-6) if name in FLOAT32_INSIDE else tolerance
    # transformers' eager form takes the softmax in float32, which is too coarse to compare with.
    attention = "sdpa" if policy.packs else "eager"
    plain = AutoModelForCausalLM.from_pretrained(
        reference.path, dtype=torch.float64, attn_implementation=attention
    ).eval()

    expected = naive(plain, examples(), batch_size=5)
    expected.backward()
    found = sum(
        accumulate(policy, packed(pack, torch.device("cpu")), 5)[0].item() for pack in packs(examples(), max_tokens=24)
    )
    assert found == pytest.approx(expected.item(), rel=tolerance)
    difference = torch.linalg.norm(gradients(policy.model).double() - gradients(plain))
    assert difference <= tolerance * torch.linalg.norm(gradients(plain))


@pytest.mark.parametrize("name", [*PACKED_FAMILIES, *ONE_BY_ONE])
def test_every_family_is_trained_from_beginning_to_end(save_model, tiny_turns, tmp_path, name):
    reference = save_model((PACKED_FAMILIES | ONE_BY_ONE)[name], torch.bfloat16)
    training = TrainingParameters(steps=2, batch_size=4, learning_rate=1e-3, processes=1)
    model = ModelParameters(path="tiny", dtype="bfloat16")
    checkpoint, log = train_policy(tiny_turns, reference, model, training, WeightingParameters(), 0, tmp_path)
    assert len(log) == 2
    before, after = (json.loads((policy.path / "config.json").read_text()) for policy in (reference, checkpoint))
    assert before == after
