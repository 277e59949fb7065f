"""The rows of a file in any of the formats we read, each with the number a user finds it by.

Only the wanted columns are kept, as the file holds them; what cannot be read becomes a fault with its place, and
reading goes on. Polars is not used: it reports a ragged CSV line or a broken JSON line without its number, and
fills short CSV lines with nulls.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from drift.problems.faults import Fault

ABSENT: Final = object()
"""Stands for the cell of a row that lacks the column, unlike None, which is a null."""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


STRICT_JSON: Final = json.JSONDecoder(parse_constant=_refuse_constant)
"""Refuses NaN and Infinity. One decoder for all lines: `json.loads` with an option makes a new one each time."""


@dataclass(slots=True)
class FileRows:
    """What a file holds.

    Attributes:
        unit: what places count: `line` (JSON lines), `item` (a JSON array), `row` (CSV without its header, Parquet).
        columns: every column of the file, in order of appearance.
        rows: (place, cells of the wanted columns, `ABSENT` where the row lacks one).
        faults: what could not be read.
    """

    unit: str
    columns: dict[str, None] = field(default_factory=dict)
    rows: list[tuple[int, tuple[object, ...]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add_object(self, place: int, value: object, wanted: Sequence[str]) -> None:
        """Adds one JSON value as a row, or the fault of not being an object."""
        if not isinstance(value, dict):
            self.faults.append(Fault(place, f"this is {json_type(value)}, not a JSON object"))
            return
        self.columns.update(dict.fromkeys(value))
        self.rows.append((place, tuple([value.get(column, ABSENT) for column in wanted])))


def read_json_lines(path: Path, wanted: Sequence[str]) -> FileRows:
    """Reads one JSON object a line; blank lines are counted and skipped."""
    content = FileRows("line")
    for place, line in _decoded_lines(path, content.faults):
        if not line.strip():
            continue
        try:
            value = STRICT_JSON.decode(line.rstrip())
        except (ValueError, RecursionError) as error:
            content.faults.append(Fault(place, f"this is not JSON ({_json_reason(error, with_line=False)})"))
        else:
            content.add_object(place, value, wanted)
    return content


def read_json(path: Path, wanted: Sequence[str]) -> FileRows:
    """Reads a JSON array of objects, or JSON lines when the file does not begin with `[`."""
    if not path.read_bytes().removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return read_json_lines(path, wanted)
    content = FileRows("item")
    text = _decoded_text(path, content.faults)
    if text is None:
        return content
    try:
        items = STRICT_JSON.decode(text)
    except (ValueError, RecursionError) as error:
        content.faults.append(Fault(0, f"this is not JSON ({_json_reason(error, with_line=True)})"))
        return content
    for place, item in enumerate(items, start=1):
        content.add_object(place, item, wanted)
    return content


def read_csv(path: Path, wanted: Sequence[str]) -> FileRows:
    """Reads comma-separated text with a header; every cell stays text, and a row may span several lines."""
    content = FileRows("row")
    text = _decoded_text(path, content.faults)
    if text is None:
        return content
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        _read_csv_rows(reader, wanted, content)
    except csv.Error as error:
        content.faults.append(Fault(0, f"line {reader.line_num}: this is not CSV ({error}), so reading stopped here"))
    return content


def read_parquet(path: Path, wanted: Sequence[str]) -> FileRows:
    """Reads the wanted columns of a Parquet file, batch by batch."""
    content = FileRows("row")
    try:
        with pq.ParquetFile(path) as file:
            content.columns = dict.fromkeys(file.schema_arrow.names)
            for cells in _parquet_cells(file, wanted, content.columns):
                content.rows.append((len(content.rows) + 1, cells))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        content.faults.append(Fault(0, f"this is not a readable Parquet file ({error})"))
    return content


def read_arrow(path: Path, wanted: Sequence[str]) -> FileRows:
    """Reads the wanted columns of an Arrow stream, as some data sets on the Hugging Face Hub are stored."""
    content = FileRows("row")
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            content.columns = dict.fromkeys(stream.schema.names)
            content.rows = list(enumerate(_cells(stream, wanted, content.columns), start=1))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        content.faults.append(Fault(0, f"this is not a readable Arrow stream ({error})"))
    return content


READERS: Mapping[str, Callable[[Path, Sequence[str]], FileRows]] = {
    ".jsonl": read_json_lines,
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
}


def json_type(value: object) -> str:
    """How JSON calls the type of a value, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def _decoded_lines(path: Path, faults: list[Fault]) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for place, line in enumerate(file, start=1):
            try:
                yield place, line.decode("utf-8-sig" if place == 1 else "utf-8")
            except UnicodeDecodeError as error:
                faults.append(Fault(place, _encoding_reason(error)))


def _decoded_text(path: Path, faults: list[Fault]) -> str | None:
    """The whole text, or None when a line is not UTF-8: a fault of the file, as its row is not known."""
    undecodable: list[Fault] = []
    text = "".join(line for _, line in _decoded_lines(path, undecodable))
    faults.extend(Fault(0, f"line {fault.place}: {fault.reason}") for fault in undecodable)
    return None if undecodable else text


def _encoding_reason(error: UnicodeDecodeError) -> str:
    return f"this is not UTF-8 (byte 0x{error.object[error.start]:02x} at position {error.start + 1}); save it as UTF-8"


def _json_reason(error: Exception, *, with_line: bool) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    where = f"line {error.lineno}, column {error.colno}" if with_line else f"column {error.colno}"
    return f"{error.msg.lower()} at {where}"


def _read_csv_rows(reader: Iterator[list[str]], wanted: Sequence[str], content: FileRows) -> None:
    header = next(reader, [])
    content.columns = dict.fromkeys(header)
    content.faults += [Fault(0, f"there are two columns `{name}`") for name in wanted if header.count(name) > 1]
    positions = [header.index(name) if name in content.columns else None for name in wanted]
    for place, row in enumerate(reader, start=1):
        if not row:
            continue
        if len(row) != len(header):
            reason = f"there are {len(row)} values for {len(header)} columns; quote values that hold a comma"
            content.faults.append(Fault(place, reason))
            continue
        content.rows.append((place, tuple([ABSENT if at is None else row[at] for at in positions])))


def _parquet_cells(
    file: pq.ParquetFile, wanted: Sequence[str], columns: Mapping[str, None]
) -> Iterator[tuple[object, ...]]:
    present = [name for name in dict.fromkeys(wanted) if name in columns]
    return _cells(file.iter_batches(columns=present), wanted, columns)


def _cells(
    batches: Iterable[pa.RecordBatch], wanted: Sequence[str], columns: Mapping[str, None]
) -> Iterator[tuple[object, ...]]:
    for batch in batches:
        absent = [ABSENT] * batch.num_rows
        yield from zip(*(batch.column(name).to_pylist() if name in columns else absent for name in wanted), strict=True)
