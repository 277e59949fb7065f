"""What the tests share: the real model, converted once, and small real trajectories."""

import os
from pathlib import Path

import pytest

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters

PROJECT = Path(__file__).resolve().parents[1]
BUNDLED = ModelParameters(path="bundled:smollm2-135m-instruct")


@pytest.fixture(scope="session")
def reference_model(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """The bundled model as a Hugging Face directory."""
    from drift.rollout.reference import prepare_reference_model

    return prepare_reference_model(BUNDLED, tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real problems that are not part of the project; tests that use them skip where they are absent."""
    directory = Path(os.environ.get("DRIFT_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"no shared data at {directory}")
    return directory
