"""A policy as a Hugging Face directory."""

import json
from pathlib import Path

from kedro_datasets._typing import HTMLPreview

from drift.datasets.directory import DirectoryDataset
from drift.datasets.markdown import as_html
from drift.model_directory import ModelDirectory


class ModelDirectoryDataset(DirectoryDataset[ModelDirectory, ModelDirectory]):
    """Saves a model directory and loads its path and provenance, never the weights.

    Files are hard-linked where the file system allows: nothing is copied, and nothing may be edited in place.
    """

    def preview(self) -> HTMLPreview:
        """For Kedro-Viz: the policy's card or, where it has none, where it came from."""
        policy = self.load()
        return as_html(policy.card or f"```\n{json.dumps(policy.provenance, indent=2)}\n```")

    def _open(self, path: Path) -> ModelDirectory:
        return ModelDirectory.open(path)

    def _write(self, data: ModelDirectory, path: Path) -> None:
        data.write_to(path)

    def _is_saved(self, data: ModelDirectory, target: Path) -> bool:
        return data.is_at(target)
