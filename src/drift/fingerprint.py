"""Fingerprints: short names for everything that decides a result, so that only the same work is continued."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

_CHUNK_BYTES = 1 << 24


def fingerprint(facts: dict[str, Any]) -> str:
    """A short name for JSON-like facts; equal facts have equal names, in any order of keys."""
    text = json.dumps(facts, sort_keys=True, default=str, allow_nan=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def table_fingerprint(table: pa.Table) -> str:
    """A short name for the rows of a table."""
    return fingerprint({"columns": table.column_names, "rows": table.to_pylist()})


def files_fingerprint(files: Iterable[Path]) -> str:
    """A short name for the names and contents of files."""
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
