"""A directory of text files, such as a report."""

from collections.abc import Mapping
from pathlib import Path

from drift.datasets.directory import DirectoryDataset


class TextFilesDataset(DirectoryDataset[Mapping[str, str], Path]):
    """Saves texts by file name, and loads the path of their directory."""

    def _open(self, path: Path) -> Path:
        return path

    def _write(self, data: Mapping[str, str], path: Path) -> None:
        path.mkdir()
        for name, text in data.items():
            (path / name).write_text(text, encoding="utf-8")
