"""What the tests share: the real model, converted once, and a real browser."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A busy machine makes a test slow, not wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PROJECT = Path(__file__).resolve().parents[1]
BUNDLED = ModelParameters(path="bundled:smollm2-135m-instruct")
# Files that take minutes begin first, so that no process is left alone with one at the end.
LONGEST_FIRST = (
    "test_run.py",
    "test_interruptions.py",
    "test_study.py",
    "test_engines.py",
    "test_processes.py",
    "test_killed_training.py",
    "test_conversations.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Each of several test processes keeps to a core: threads that spin for one another are slower than one."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
        os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files in front."""
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def reference_model(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """The bundled model as a Hugging Face directory; several test processes convert it once."""
    from drift.rollout.reference import prepare_reference_model

    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "reference"
    with FileLock(f"{shared}.lock"):
        return prepare_reference_model(BUNDLED, shared)


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
