"""A training asked for again: continued, found finished, or begun anew because something changed."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, TrainingParameters, WeightingParameters
from drift.shards import Shards, shard_path, write_manifest, write_shard
from drift.training.policy import train_policy

SETTINGS = {"steps": 4, "batch_size": 8, "learning_rate": 3e-3, "precision": "float32", "processes": 1}


@pytest.fixture
def train(tiny_turns, tiny_reference, tmp_path):
    def train(
        turns: Shards = tiny_turns, reference: ModelDirectory = tiny_reference, dtype: str = "float32", **changes
    ) -> tuple[ModelDirectory, list]:
        training = TrainingParameters.model_validate(SETTINGS | changes)
        model = ModelParameters(path="tiny", dtype=dtype)
        return train_policy(turns, reference, model, training, WeightingParameters(), 0, tmp_path / "work")

    return train


def test_a_finished_training_is_not_done_again(train, caplog):
    first, log = train()
    with caplog.at_level(logging.INFO):
        second, log_again = train(checkpoint_every=2, micro_batch_tokens=64, activation_checkpointing=True)
    assert "This training is finished already" in caplog.text
    assert (first.path, first.fingerprint, log) == (second.path, second.fingerprint, log_again)


def test_a_changed_setting_begins_anew_and_is_named(train, caplog):
    first, _ = train()
    with caplog.at_level(logging.INFO):
        second, _ = train(learning_rate=1e-3)
    assert "Training starts afresh, since this changed: training.learning_rate (0.003 → 0.001)" in caplog.text
    assert first.fingerprint != second.fingerprint


def test_the_same_data_in_another_version_is_the_same_training(train, tiny_turns, tmp_path, caplog):
    train()
    tables = list(tiny_turns.tables())
    (tmp_path / "again").mkdir()
    for index, part in enumerate((tables[0].slice(24), tables[0].slice(0, 24))):
        write_shard(part, shard_path(tmp_path / "again", index))
    write_manifest(tmp_path / "again", {**tiny_turns.provenance, "version": "another"})
    with caplog.at_level(logging.INFO):
        train(turns=Shards.open(tmp_path / "again"))
    assert "This training is finished already" in caplog.text


@pytest.mark.parametrize("change", [{"activation_checkpointing": True}, {"micro_batch_tokens": 30}])
def test_what_does_not_decide_the_result_does_not_change_it(train, tiny_turns, tiny_reference, tmp_path, change):
    first, _ = train()
    training = TrainingParameters.model_validate(SETTINGS | change)
    model = ModelParameters(path="tiny", dtype="float32")
    second, _ = train_policy(
        tiny_turns, tiny_reference, model, training, WeightingParameters(), 0, tmp_path / "elsewhere"
    )
    weights = [load_file(checkpoint.path / "model.safetensors") for checkpoint in (first, second)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-4, atol=1e-5)


def test_the_checkpoint_says_what_it_was_trained_from_and_is_stored_as_asked(train, tiny_turns):
    checkpoint, log = train(dtype="bfloat16", clip_norm=float("inf"))
    assert AutoModelForCausalLM.from_pretrained(checkpoint.path, dtype="auto").dtype == torch.bfloat16
    assert (checkpoint.path / "tokenizer.json").read_text() == "{}"
    note = json.loads(json.dumps(checkpoint.provenance, allow_nan=False))
    assert note["reference_model"]["fingerprint"] == "tiny"
    assert note["weighted_turns"]["path"] == str(tiny_turns.path)
    assert note["training"]["clip_norm"] == "Infinity"
    assert [row["step"] for row in log] == [1, 2, 3, 4]


def test_divergence_names_the_last_good_state(train):
    with pytest.raises(UserError, match=r"diverged at step \d+ .* on the problems p.*no state was saved before"):
        train(learning_rate=1e30, clip_norm=1e30, steps=30)
    with pytest.raises(UserError, match=r"diverged at step \d+ .*the last good state is .*state-0000000\d"):
        train(learning_rate=1e29, clip_norm=1e29, steps=30, checkpoint_every=1)


def test_data_of_another_policy_is_refused(train, tiny_reference):
    with pytest.raises(UserError, match="was sampled from another model"):
        train(reference=ModelDirectory(tiny_reference.path, {"path": "other", "fingerprint": "other"}))


def test_a_policy_trained_on_written_solutions_says_so(train, tiny_turns, tmp_path):
    sampled = tiny_turns.provenance["trajectories"]
    written = {name: sampled[name] for name in ("model", "problems", "protocol", "prompt_style")}
    solutions = {"left_out": {}, "longest_response_tokens": 34}
    write_shard(next(tiny_turns.tables()), shard_path(tmp_path, 0))
    write_manifest(tmp_path, {"trajectories": written, "solutions": solutions})
    checkpoint, _ = train(turns=Shards.open(tmp_path))
    assert checkpoint.provenance["weighted_turns"]["solutions"] == solutions
    assert "fine-tuned on written solutions" in (checkpoint.card or "")
