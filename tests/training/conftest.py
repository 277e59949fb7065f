from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig

from drift.model_directory import ModelDirectory
from drift.shards import Shards, shard_path, write_manifest, write_shard
from drift.training.attention import PACKED, register_packed_attention
from drift.training.model import PackedPolicy, packed_policy
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}

PROVENANCE = {
    "trajectories": {
        "model": "tiny",
        "problems": "made up",
        "protocol": {"max_turns": 5, "feedback": "Incorrect. Please think again.", "prompt": "boxed"},
        "prompt_style": {"system": None, "task": "{problem}", "choice_task": ""},
        "n": 4,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 32,
    },
    "weighting": {"gamma": 0.9, "beta": 0.1, "penalty": 0.5, "retain": "terminal", "unsolved": "drop"},
}


@pytest.fixture(scope="session")
def tiny_policy() -> PackedPolicy:
    """A random Llama in float64, with tied embeddings as the bundled model has."""
    torch.manual_seed(0)
    register_packed_attention()
    config = LlamaConfig(**SIZES, tie_word_embeddings=True)
    return packed_policy(AutoModelForCausalLM.from_config(config, attn_implementation=PACKED).double())


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModelDirectory]:
    """Saves a random model of a configuration as a reference policy."""

    def save(config: PretrainedConfig, dtype: torch.dtype = torch.float32) -> ModelDirectory:
        torch.manual_seed(0)
        directory = tmp_path_factory.mktemp("model")
        AutoModelForCausalLM.from_config(config).to(dtype).save_pretrained(directory)
        (directory / "tokenizer.json").write_text("{}")
        return ModelDirectory(directory, {"path": "tiny", "fingerprint": "tiny"})

    return save


@pytest.fixture(scope="session")
def tiny_reference(save_model) -> ModelDirectory:
    return save_model(LlamaConfig(**SIZES, tie_word_embeddings=True))


@pytest.fixture(scope="session")
def tiny_turns(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """48 weighted turns of 12 problems, said to come from the tiny reference."""
    generator = np.random.default_rng(0)
    rows = [weighted_turn(generator, f"p{index // 4}", index % 4) for index in range(48)]
    return save_turns(tmp_path_factory.mktemp("weighted_turns"), rows)


def weighted_turn(generator: np.random.Generator, problem_id: str, trajectory_id: int) -> dict:
    length = int(generator.integers(6, 40))
    start = int(generator.integers(1, length - 1))
    return {
        "problem_id": problem_id,
        "trajectory_id": trajectory_id,
        "token_ids": generator.integers(0, SIZES["vocab_size"], length).tolist(),
        "targets": [{"start": start, "end": length}],
        "weight": float(generator.exponential()),
        "shaped_return": 1.0,
        "num_turns": 1,
        "success": True,
    }


def save_turns(directory: Path, rows: Sequence[dict]) -> Shards:
    write_shard(pa.Table.from_pylist(list(rows), schema=WEIGHTED_TURN_SCHEMA), shard_path(directory, 0))
    write_manifest(directory, PROVENANCE)
    return Shards.open(directory)
