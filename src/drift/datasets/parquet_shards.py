"""A table as a directory of parquet shards of whole problems."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from kedro_datasets._typing import TablePreview

from drift.datasets.directory import DirectoryDataset
from drift.model_directory import link_or_copy
from drift.shards import MANIFEST, Shards, ShardStream, shard_path, write_manifest, write_shard

_PREVIEW_CHARACTERS = 60


class ParquetShardsDataset(DirectoryDataset[Shards | ShardStream, Shards]):
    """Saves finished shards (hard-linked, no copy) or a stream of tables (one shard each).

    Loads `Shards`, which reads a table when it is asked for one.
    """

    def preview(self, nrows: int = 5) -> TablePreview:
        """For Kedro-Viz: the first rows; what is nested in them as the beginning of its text.

        Args:
            nrows: the number of rows.
        """
        with pq.ParquetFile(self.load().files()[0]) as shard:
            rows = pa.Table.from_batches([next(shard.iter_batches(nrows))])
        nested = {field.name for field in rows.schema if pa.types.is_nested(field.type)}
        data = [[_beginning(row[name]) if name in nested else row[name] for name in row] for row in rows.to_pylist()]
        return TablePreview({"index": list(range(len(data))), "columns": rows.column_names, "data": data})

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


def _beginning(value: object) -> str:
    text = str(value)
    return text if len(text) <= _PREVIEW_CHARACTERS else f"{text[:_PREVIEW_CHARACTERS]}…"
