"""The data files of a published set: from the Hugging Face Hub, or from a copy on this machine."""

import logging
from fnmatch import fnmatch
from pathlib import Path

from drift.errors import UserError
from drift.problems.rows import READERS

logger = logging.getLogger(__name__)


def data_files(
    name: str, repository: str, patterns: tuple[str, ...], path: str | None, revision: str | None
) -> tuple[Path, list[Path]]:
    """Where a set lies, and the files that hold its rows in order of their names.

    Args:
        name: what the set is called in the parameters.
        repository: the data set on the Hub.
        patterns: of its files, from the root of the repository; `*` also matches `/`. The first that any file
            matches counts.
        path: a file, or a directory with the repository's files; None takes them from the Hub.
        revision: commit, tag or branch on the Hub; None takes the newest.

    Raises:
        UserError: when they are not there or cannot be had; it says which command or permission is needed.
    """
    if path is None:
        root = _download(name, repository, patterns, revision)
        where = f"The data set {repository} on the Hugging Face Hub"
    else:
        root = Path(path).expanduser().absolute()
        where = f"The directory {root}"
        if root.is_file():
            return root, [_readable(name, root)]
        if not root.is_dir():
            raise UserError(
                f"{name}: {root} does not exist: correct `path` (a relative one starts where the command runs), or "
                f"fetch the set with `{_command(repository, root, revision)}`."
            )
    present = sorted(file for file in root.rglob("*") if file.is_file())
    for pattern in patterns:
        files = [file for file in present if fnmatch(file.relative_to(root).as_posix(), pattern)]
        if files:
            break
    else:
        raise UserError(
            f"{name}: {where} has none of the files {', '.join(patterns)}: name the file itself in `path`, or a "
            f"directory made by `{_command(repository, Path('DIRECTORY'), revision)}`."
        )
    return root, files


def check_num_rows(name: str, repository: str, num_rows: int, expected: int, root: Path, path: str | None) -> None:
    """Checks that a set is whole: without a connection, the Hub's cache gives whatever it happens to hold.

    Args:
        name: what the set is called in the parameters.
        repository: the data set on the Hub.
        num_rows: what was read.
        expected: what is published.
        root: where the set lies on this machine.
        path: where the user says it lies; None for the Hub. The user may mean a part of it, so that is only said.

    Raises:
        UserError: when the Hub's copy has another number of rows.
    """
    if num_rows == expected:
        return
    counts = f"{num_rows:,} {'row' if num_rows == 1 else 'rows'}, where {expected:,} are published"
    if path is None:
        raise UserError(
            f"{name}: the copy of {repository} in {root} has {counts}: delete that directory and run again "
            "with a connection, name a `revision` that has them, or, to ask these rows all the same, set `path` to it."
        )
    logger.warning("%s: %s has %s: results on it are not those of the whole set.", name, root, counts)


def _readable(name: str, file: Path) -> Path:
    if file.suffix.lower() not in READERS:
        raise UserError(f"{name}: {file} ends in none of {', '.join(READERS)}: convert or rename it.")
    return file


def _command(repository: str, directory: Path, revision: str | None) -> str:
    """What fetches a copy of the set, also on another machine."""
    at = f" --revision {revision}" if revision else ""
    return f"hf download --repo-type dataset {repository}{at} --local-dir {directory}"


def _download(name: str, repository: str, patterns: tuple[str, ...], revision: str | None) -> Path:
    """The Hub's snapshot of a set, in the Hub's own cache; only the files that are read."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = f"https://huggingface.co/datasets/{repository}"
    elsewhere = f"`{_command(repository, Path('DIRECTORY'), revision)}`, and set `path` to that directory"
    try:
        snapshot = snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=list(patterns))
    except GatedRepoError as error:
        raise UserError(
            f"{name}: {repository} is gated: accept its terms at {page}, then run `hf auth login`; or fetch it with "
            f"{elsewhere}."
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"{name}: {repository} has no revision {revision!r}: choose one listed at {page}.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"{name}: {repository} is not a data set on the Hugging Face Hub that you can read: look at {page}, run "
            f"`hf auth login`, or set `path` to a copy."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"{name}: {repository} could not be downloaded from the Hugging Face Hub ({type(error).__name__}): check "
            f"the connection, or fetch it where there is one with {elsewhere}."
        ) from error
    logger.info("%s: %s at revision %s", name, repository, Path(snapshot).name)
    return Path(snapshot)
