import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel


@pytest.fixture(scope="session")
def tiny_policy() -> PreTrainedModel:
    """A random Llama in float64, with tied embeddings as the bundled model has."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).to(torch.float64).eval()
