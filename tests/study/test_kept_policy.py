"""What a variant with nothing to train on leaves: the reference itself, as a checkpoint like any other."""

import json

import pandas as pd
import pyarrow as pa
import pytest

from drift.datasets.model_directory import ModelDirectoryDataset
from drift.datasets.whole_files import ParquetDataset
from drift.errors import UserError
from drift.evaluation.conversations import refuse_other_reference
from drift.fingerprint import files_fingerprint
from drift.model_directory import ModelDirectory, ancestry
from drift.parameters import ModelParameters, Seed, TrainingParameters, WeightingParameters, WorkingDirectory
from drift.pipelines.study.nodes import train_or_keep_policy
from drift.shards import Shards, shard_path, write_manifest, write_shard
from drift.study.findings import cautions
from drift.study.results import study_results
from drift.training.step_log import StepLog, log_fingerprint
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA


def no_examples(directory, model: str) -> Shards:
    directory.mkdir()
    write_shard(pa.Table.from_pylist([], schema=WEIGHTED_TURN_SCHEMA), shard_path(directory, 0))
    write_manifest(directory, {"trajectories": {"model": model}})
    return Shards.open(directory)


def kept(data: Shards, reference: ModelDirectory, root) -> tuple[ModelDirectory, pd.DataFrame]:
    training = TrainingParameters(steps=2, batch_size=2, learning_rate=1e-5)
    weighting = WeightingParameters(gamma=0.9, beta=0.1, penalty=0.5, unsolved="drop", prune_below=0, retain="terminal")
    model = ModelParameters(path="bundled:smollm2-135m-instruct")
    return train_or_keep_policy(data, reference, model, training, weighting, Seed(3), WorkingDirectory(root))


def test_the_checkpoint_is_the_reference_and_the_log_is_empty(tmp_path, reference_model):
    checkpoint, log = kept(no_examples(tmp_path / "turns", reference_model.fingerprint), reference_model, tmp_path)
    ModelDirectoryDataset(filepath=str(tmp_path / "checkpoint")).save(checkpoint)
    ParquetDataset(filepath=str(tmp_path / "log.parquet")).save(log)

    saved = ModelDirectory.open(tmp_path / "checkpoint")
    assert files_fingerprint(saved.files()) == saved.fingerprint == reference_model.fingerprint
    assert [policy["fingerprint"] for policy in ancestry(saved.provenance)] == 2 * [reference_model.fingerprint]
    refuse_other_reference({"reference": reference_model, "trained": saved})
    read = pd.read_parquet(tmp_path / "log.parquet")
    assert list(read) == list(StepLog.__dataclass_fields__) and read.empty and read["seconds"].sum() == 0
    assert saved.provenance["training_log"] == log_fingerprint(read.to_dict("records"))
    assert json.loads(json.dumps(saved.provenance))["training"]["steps"] == 2


def test_data_of_another_model_is_refused_here_as_well(tmp_path, reference_model):
    with pytest.raises(UserError, match="was sampled from another model"):
        kept(no_examples(tmp_path / "turns", "0000"), reference_model, tmp_path)


def test_the_results_say_that_it_is_the_reference(make_cell):
    cells = [make_cell(variant, seed) for variant in ("drift", "star_2turn") for seed in (0, 1)]
    cells[-1] = {**cells[-1], "composition": {**cells[-1]["composition"], "num_examples": 0}}
    said = cautions(study_results(cells, "sft_5turn", "drift", num_samples=100))
    assert "star_2turn had nothing to train on with 1 of 2 seeds: there it is the reference." in said
    assert not any(sentence.startswith("drift had nothing") for sentence in said)
