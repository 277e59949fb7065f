"""What a run loads of what it saves: its own version, also when another run has saved a later one meanwhile.

Kedro takes the latest version there is. Two runs of one project at once would so read each other's data: the one that
began first, and was slower, would go on with the trajectories of the other.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kedro.io.core import AbstractVersionedDataset

    _Versioned = AbstractVersionedDataset
else:
    _Versioned = object


class OwnVersion(_Versioned):
    """Mixed in before a versioned dataset: without a version asked for, the one this run has saved is loaded.

    Whether it has saved one is read from the disk (versions are named by their run), so it holds in every process of
    the run, and after Kedro has released the dataset.
    """

    def resolve_load_version(self) -> str | None:
        """The version asked for, else this run's own, else the latest."""
        version = self._version
        if version and not version.load and version.save:
            own = self._get_versioned_path(version.save)
            if self._exists_function(str(own)):
                return str(version.save)
        return super().resolve_load_version()
