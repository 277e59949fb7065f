from kedro.io.core import Version

from drift.datasets.model_directory import ModelDirectoryDataset


def test_a_policy_is_linked_and_carries_its_provenance(reference_model, tmp_path):
    entry = ModelDirectoryDataset(filepath=tmp_path / "checkpoint", version=Version(None, "v"))
    entry.save(reference_model)
    loaded = entry.load()
    assert loaded.provenance == reference_model.provenance
    assert (loaded.path / "model.safetensors").samefile(reference_model.path / "model.safetensors")


def test_the_same_policy_is_not_written_twice(reference_model, tmp_path):
    entry = ModelDirectoryDataset(filepath=tmp_path / "reference")
    entry.save(reference_model)
    before = (tmp_path / "reference").stat().st_ino
    entry.save(reference_model)
    assert (tmp_path / "reference").stat().st_ino == before
