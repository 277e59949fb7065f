"""kedro-datasets' file datasets, written beside their place and renamed: a killed run leaves no half-written file."""

import inspect
import os
from pathlib import Path, PurePosixPath
from typing import Any

from kedro_datasets import json, pandas, plotly, text
from kedro_datasets._typing import HTMLPreview

from drift.datasets.markdown import as_html
from drift.datasets.own_version import OwnVersion
from drift.shards import replace_durably


class _WholeFile(OwnVersion):
    """Redirects a dataset's save to a partial file and renames it when the save has succeeded."""

    _saving = False

    def _dataset(self) -> Any:  # noqa: ANN401
        """The methods of the dataset this class is mixed into."""
        return super()

    def save(self, data: Any) -> None:  # noqa: ANN401
        """Saves `data`; it becomes visible when it is complete."""
        target = Path(self._get_save_path())
        self._saving = True
        try:
            # The dataset's own save, without the wrapper in which Kedro looks for the finished version.
            inspect.unwrap(self._dataset().save)(self, data)
            replace_durably(Path(self._get_save_path()), target)
        finally:
            self._saving = False

    def place(self) -> Path:
        """Where the newest complete version lies, or the one that this run has made."""
        return Path(self._dataset()._get_load_path())

    def _get_save_path(self) -> PurePosixPath:
        path: PurePosixPath = self._dataset()._get_save_path()
        return path.with_name(f".{path.name}.{os.getpid()}.partial") if self._saving else path


class JSONDataset(_WholeFile, json.JSONDataset):
    """`kedro_datasets.json.JSONDataset`, whole or not there."""


class ParquetDataset(_WholeFile, pandas.ParquetDataset):
    """`kedro_datasets.pandas.ParquetDataset`, whole or not there."""


class PlotlyDataset(_WholeFile, plotly.JSONDataset):
    """`kedro_datasets.plotly.JSONDataset`, whole or not there."""


class MarkdownDataset(_WholeFile, text.TextDataset):
    """`kedro_datasets.text.TextDataset`, whole or not there, shown by Kedro-Viz as it reads."""

    def preview(self) -> HTMLPreview:
        """The text as it reads."""
        return as_html(self.load())


class TextDataset(_WholeFile, text.TextDataset):
    """`kedro_datasets.text.TextDataset`, whole or not there."""
