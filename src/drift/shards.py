"""A directory of parquet shards of whole problems: the unit in which data is sampled, weighted, streamed and stored.

A problem's rows are never split over two shards, so each shard can be worked on without knowing any other, and no
table is ever in memory whole. `MANIFEST` is written last; what has none is unfinished.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MANIFEST = "manifest.json"
# Columns whose words repeat, and are stored once each.
_REPEATED = ["problem_id", "policy", "benchmark", "turns.list.element.answer", "turns.list.element.verdict"]


@dataclass(frozen=True)
class Shards:
    """A finished directory of shards.

    Attributes:
        path: the directory.
        provenance: what decided its content (parameters, model, data versions), carried along from stage to stage.
        costs: what making it took, in seconds and tokens, where that was counted; of conversations with several
            policies, by policy.
    """

    path: Path
    provenance: dict[str, Any]
    costs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> "Shards":
        """Opens a finished directory."""
        manifest = json.loads((path / MANIFEST).read_text())
        return cls(path, manifest["provenance"], manifest.get("costs", {}))

    def files(self) -> list[Path]:
        """The shards, in order."""
        return shard_files(self.path)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The shards one after another; only `columns` are read when given.

        A part of a nested column is named by its path in the file: `turns.list.element.answer`.
        """
        for file in self.files():
            with pq.ParquetFile(file) as shard:
                yield shard.read(columns=list(columns) if columns else None)

    def values(self, column: str) -> Iterator[np.ndarray]:
        """The values of one flat column, one array a shard."""
        return (table[column].to_numpy() for table in self.tables([column]))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows as one table, for data known to be small."""
        return pa.concat_tables(list(self.tables(columns)))

    def num_rows(self) -> int:
        """Number of rows, from the shards' footers."""
        return sum(pq.read_metadata(file).num_rows for file in self.files())


@dataclass(frozen=True)
class ShardStream:
    """Shards on their way to disk: one table each, made when asked for.

    Attributes:
        tables: one table of whole problems a shard, all of one schema.
        provenance: see `Shards`.
        costs: see `Shards`.
    """

    tables: Iterable[pa.Table]
    provenance: dict[str, Any]
    costs: Mapping[str, Any] = field(default_factory=dict)


def shard_files(directory: Path) -> list[Path]:
    """The finished shards in a directory, in order."""
    return sorted(directory.glob("shard-*.parquet"))


def shard_path(directory: Path, index: int) -> Path:
    """Where shard `index` of a directory is."""
    return directory / f"shard-{index:06d}.parquet"


def write_shard(table: pa.Table, path: Path) -> None:
    """Writes one shard so that it is either there, whole and on the disk, or not there."""
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table, partial, compression="zstd", use_dictionary=_REPEATED, column_encoding=_encodings(table))
    replace_durably(partial, path)


def _encodings(table: pa.Table) -> dict[str, str] | None:
    """Token ids are written without a dictionary: two to three times as fast, for a seventh more room."""
    return {"token_ids.list.element": "BYTE_STREAM_SPLIT"} if "token_ids" in table.column_names else None


def write_manifest(
    directory: Path, provenance: Mapping[str, Any], costs: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Declares a directory of shards finished."""
    partial = directory / f".{MANIFEST}.partial"
    manifest = {"provenance": dict(provenance), "costs": dict(costs)}
    partial.write_text(json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n")
    replace_durably(partial, directory / MANIFEST)


def replace_durably(partial: Path, target: Path) -> None:
    """Renames a written file or directory into place, after its content has reached the disk."""
    written = [partial] if partial.is_file() else [file for file in partial.rglob("*") if file.is_file()]
    for file in written:
        _sync(file)
    if partial.is_dir():
        _sync(partial)
    os.replace(partial, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
