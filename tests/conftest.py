"""What the tests share: the real model, converted once, and a real browser."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """Headless Chromium. A machine without it skips the tests that need it; CI must have it.

    It is closed with the module, because Playwright's event loop stands in the way of `asyncio.run`.
    """
    executable = shutil.which("chromium")
    if executable is None:
        absent = "no Chromium: apt-get install chromium"
        pytest.fail(absent) if os.environ.get("CI") else pytest.skip(absent)
    from playwright.sync_api import sync_playwright

    switches = "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*switches.split(), "--disable-gpu"])
        yield browser
        browser.close()
    asyncio.run(asyncio.sleep(0))  # fails where a loop is still running
