"""A dataset that is a directory: built beside its place, synced, then renamed, so no half of one is ever visible."""

import os
import shutil
from abc import abstractmethod
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from kedro.io.core import AbstractVersionedDataset, DatasetError, Version

from drift.datasets.own_version import OwnVersion
from drift.shards import replace_durably

Content = TypeVar("Content")
Loaded = TypeVar("Loaded")


class DirectoryDataset(OwnVersion, AbstractVersionedDataset[Content, Loaded], Generic[Content, Loaded]):
    """What the directory datasets share: where a version lies, and how it appears at once."""

    def __init__(
        self,
        *,
        filepath: str | os.PathLike[str],
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Creates the dataset.

        Args:
            filepath: the directory, on a local (or mounted) file system.
            version: load and save version, given by Kedro.
            credentials: not used; Kedro passes it.
            fs_args: not used; Kedro passes it.
            metadata: for Kedro-Viz.
        """
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> Loaded:
        """Opens the version; its content is read when it is asked for."""
        return self._open(Path(self._get_load_path()))

    def save(self, data: Content) -> None:
        """Writes a version and makes it visible in one step."""
        target = Path(self._get_save_path())
        if self._is_saved(data, target):
            return
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        self._write(data, partial)
        replaced = target.with_name(f".{target.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        if target.exists():
            target.rename(replaced)
        replace_durably(partial, target)
        shutil.rmtree(replaced, ignore_errors=True)

    @abstractmethod
    def _open(self, path: Path) -> Loaded: ...

    @abstractmethod
    def _write(self, data: Content, path: Path) -> None: ...

    def _is_saved(self, data: Content, target: Path) -> bool:
        """Whether exactly this content is at `target` already."""
        return False

    def _exists(self) -> bool:
        try:
            return Path(self._get_load_path()).is_dir()
        except DatasetError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}
