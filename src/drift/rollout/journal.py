"""The journal: finished problems reach the disk the moment they are finished, before there are enough for a shard.

It is an Arrow stream that only grows at its end. A process that is killed leaves at most one half-written batch there,
which is not read.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from drift.shards import replace_durably


def read_journal(path: Path) -> list[pa.RecordBatch]:
    """The complete batches of a journal; none when there is no journal.

    Raises:
        OSError: when the disk cannot be read; a batch that was cut off by a kill is no error.
    """
    batches: list[pa.RecordBatch] = []
    if not path.exists():
        return batches
    with pa.OSFile(str(path)) as file:
        try:
            stream = pa.ipc.open_stream(file)
            while True:
                batches.append(stream.read_next_batch())
        except (StopIteration, pa.ArrowInvalid):
            pass
        except OSError as error:
            if error.errno is not None:  # without a number it is Arrow's word for a batch that ends too early
                raise
    return batches


class Journal:
    """A journal open for writing: what was written before `sync` survives a kill and a power cut."""

    def __init__(self, path: Path, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
        """Writes the journal anew.

        Args:
            path: where it is; what was there is replaced at once.
            batches: what it starts with: what an earlier process left there.
            schema: of all batches.
        """
        partial = path.with_name(f".{path.name}.partial")
        self._file = pa.OSFile(str(partial), "wb")  # unbuffered: nothing is left to write when it is closed
        self._descriptor = os.open(partial, os.O_RDONLY)
        self._stream = pa.ipc.new_stream(self._file, schema)
        for batch in batches:
            self.write(batch)
        replace_durably(partial, path)  # the open file follows its name

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch."""
        self._stream.write_batch(batch)

    def sync(self) -> None:
        """Waits until everything is on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the file, without an end mark: it is read like one whose process was killed. Again does nothing."""
        if not self._file.closed:
            self._file.close()
            os.close(self._descriptor)
