import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from drift.model_directory import ModelDirectory, link_or_copy

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project_path(tmp_path_factory: pytest.TempPathFactory, reference_model: ModelDirectory) -> Path:
    """A copy of the project with data of its own; the packaged model is converted already."""
    path = tmp_path_factory.mktemp("project")
    for file in reference_model.files():
        link_or_copy(file, path / "data" / "work" / "models" / reference_model.path.name / file.name)
    for name in ("conf", "pyproject.toml", ".telemetry"):
        source = PROJECT / name
        shutil.copytree(source, path / name) if source.is_dir() else shutil.copy(source, path / name)
    shutil.rmtree(path / "conf" / "local", ignore_errors=True)
    (path / "conf" / "local").mkdir()
    (path / "src").mkdir()
    (path / "src" / "drift").symlink_to(PROJECT / "src" / "drift")
    return path


@pytest.fixture(scope="module")
def kedro(project_path: Path):
    """Runs a kedro command in the copy, as a user would."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kedro", *arguments], cwd=project_path, capture_output=True, text=True, check=False
        )

    return run
