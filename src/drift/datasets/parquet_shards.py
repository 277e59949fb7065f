"""A table as a directory of parquet shards of whole problems."""

from pathlib import Path

from drift.datasets.directory import DirectoryDataset
from drift.model_directory import link_or_copy
from drift.shards import MANIFEST, Shards, ShardStream, shard_path, write_manifest, write_shard


class ParquetShardsDataset(DirectoryDataset[Shards | ShardStream, Shards]):
    """Saves finished shards (hard-linked, no copy) or a stream of tables (one shard each).

    Loads `Shards`, which reads a table when it is asked for one.
    """

    def _open(self, path: Path) -> Shards:
        return Shards.open(path)

    def _write(self, data: Shards | ShardStream, path: Path) -> None:
        path.mkdir()
        if isinstance(data, Shards):
            for file in [*data.files(), data.path / MANIFEST]:
                link_or_copy(file, path / file.name)
        else:
            for index, table in enumerate(data.tables):
                write_shard(table, shard_path(path, index))
            write_manifest(path, data.provenance, data.costs)
