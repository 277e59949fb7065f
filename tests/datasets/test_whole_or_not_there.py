"""A version is visible only when it is complete, whatever interrupts the save."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pytest
from kedro.io.core import DatasetError, Version

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.datasets.whole_files import JSONDataset, ParquetDataset, PlotlyDataset, TextDataset
from drift.shards import Shards, ShardStream, shard_path, write_manifest, write_shard

TABLE = pa.table({"problem_id": ["a", "a", "b"], "value": [1, 2, 3]})
VERSION = "2026-01-01T00.00.00.000Z"


def dataset(tmp_path: Path, save: str = VERSION) -> ParquetShardsDataset:
    return ParquetShardsDataset(filepath=tmp_path / "table", version=Version(None, save))


def test_a_stream_becomes_one_shard_a_table(tmp_path):
    dataset(tmp_path).save(ShardStream(iter([TABLE, TABLE.slice(1)]), {"beta": 0.1}))
    loaded = dataset(tmp_path).load()
    assert [table.num_rows for table in loaded.tables()] == [3, 2]
    assert loaded.num_rows() == 5
    assert loaded.provenance == {"beta": 0.1}
    assert loaded.read(["value"])["value"].to_pylist() == [1, 2, 3, 2, 3]


def test_finished_shards_are_linked_not_copied(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    write_shard(TABLE, shard_path(work, 0))
    write_manifest(work, {})
    dataset(tmp_path).save(Shards.open(work))
    (saved,) = dataset(tmp_path).load().files()
    assert saved.samefile(shard_path(work, 0))


def test_a_save_that_fails_leaves_no_version(tmp_path):
    def tables():
        yield TABLE
        raise OSError(28, "No space left on device")

    with pytest.raises(DatasetError, match="No space left"):
        dataset(tmp_path).save(ShardStream(tables(), {}))
    assert not dataset(tmp_path).exists()
    dataset(tmp_path).save(ShardStream([TABLE], {}))
    assert dataset(tmp_path).load().num_rows() == 3


def test_a_save_that_is_killed_leaves_no_version_and_the_one_before_is_loaded(tmp_path):
    dataset(tmp_path).save(ShardStream([TABLE], {"which": "first"}))
    later = "2026-01-02T00.00.00.000Z"
    script = f"""
        import os, signal
        import pyarrow as pa
        from kedro.io.core import Version
        from drift.datasets.parquet_shards import ParquetShardsDataset
        from drift.shards import ShardStream

        def tables():
            yield pa.table({{"problem_id": ["a"], "value": [1]}})
            os.kill(os.getpid(), signal.SIGKILL)

        dataset = ParquetShardsDataset(filepath={str(tmp_path / "table")!r}, version=Version(None, {later!r}))
        dataset.save(ShardStream(tables(), {{}}))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "table" / later).iterdir()), "the save had begun"
    assert dataset(tmp_path).list_versions(full_path=False) == [VERSION]
    assert dataset(tmp_path).load().provenance == {"which": "first"}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (JSONDataset, {"a": 1}),
        (ParquetDataset, pd.DataFrame({"a": [1]})),
        (PlotlyDataset, go.Figure(go.Bar(y=[1]))),
        (TextDataset, "<p>x² ≤ 1</p>\n"),
    ],
)
@pytest.mark.parametrize("version", [None, Version(None, VERSION)])
def test_files_are_saved_whole_and_loaded(tmp_path, kind, content, version):
    kind(filepath=str(tmp_path / "file"), version=version).save(content)
    loaded = kind(filepath=str(tmp_path / "file"), version=version).load()
    assert loaded.equals(content) if isinstance(content, pd.DataFrame) else loaded == content
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (ParquetShardsDataset, ShardStream([TABLE], {"run": 1}), ShardStream([TABLE], {"run": 2})),
        (JSONDataset, {"run": 1}, {"run": 2}),
    ],
)
def test_a_run_loads_what_it_saved_although_a_later_run_has_saved_since(tmp_path, kind, first, second):
    path, later = str(tmp_path / "entry"), "2026-01-02T00.00.00.000Z"

    def run_of(loaded):
        return (loaded.provenance if isinstance(loaded, Shards) else loaded)["run"]

    begun_first = kind(filepath=path, version=Version(None, VERSION))
    kind(filepath=path, version=Version(None, later)).save(second)
    assert run_of(begun_first.load()) == 2, "it has saved nothing yet, so it loads the latest"
    begun_first.save(first)
    assert begun_first.resolve_load_version() == VERSION
    assert run_of(begun_first.load()) == 1
    begun_first.release()
    assert run_of(begun_first.load()) == 1, "Kedro forgets versions when it releases a dataset"
    assert run_of(kind(filepath=path, version=Version(None, None)).load()) == 2, "the latest, for everybody else"
    assert run_of(kind(filepath=path, version=Version(later, VERSION)).load()) == 2, "a version asked for is loaded"


def test_a_file_whose_save_fails_is_not_there(tmp_path):
    unwritable = {"good": 1, "bad": object()}
    entry = JSONDataset(filepath=str(tmp_path / "file.json"), version=Version(None, VERSION))
    with pytest.raises(DatasetError):
        entry.save(unwritable)
    assert not JSONDataset(filepath=str(tmp_path / "file.json"), version=Version(None, VERSION)).exists()
