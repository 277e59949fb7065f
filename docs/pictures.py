"""The three pictures of README.md, from the latest run's data, with headless Chromium.

    kedro run && python docs/pictures.py

Needs `chromium` and `make docs`' neighbours: kedro-viz for the lineage, playwright for the shots.
"""

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PROJECT = Path.cwd()
WITHOUT_TOUR = "document.querySelectorAll('[class*=feature-hint]').forEach(element => element.remove())"
TARGET = Path(__file__).resolve().parent / "pictures"
SWITCHES = "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"


def latest(entry: str) -> Path:
    """The latest version of a reporting entry."""
    *_, version = sorted((PROJECT / "data/08_reporting" / entry).iterdir())
    return version / entry


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """A directory on this machine's loopback address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def shoot(
    page: Page, address: str, name: str, wait: int, size: tuple[int, int], click: str = "", script: str = ""
) -> None:
    """One picture, after a click on what a selector names, or a script of the page's."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(address)
    page.wait_for_timeout(wait)
    if click:
        page.locator(click).first.click()
    if script:
        page.evaluate(script)
    page.wait_for_timeout(1000)
    page.screenshot(path=TARGET / f"{name}.png")


def main() -> None:
    """Takes all three."""
    TARGET.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "kedro", "viz", "build"], check=True, capture_output=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES.split())
        page = browser.new_page(device_scale_factor=1)
        report = latest("evaluation_report")
        shoot(page, f"file://{report / 'multi_at_k.html'}", "multi_at_k", 2000, (900, 600))
        shoot(page, f"file://{latest('conversation_viewer.html')}", "viewer", 2000, (1100, 640), click="text=turn 2")
        with served(PROJECT / "build") as address:
            shoot(page, address, "lineage", 8000, (1300, 860), script=WITHOUT_TOUR)
        browser.close()


if __name__ == "__main__":
    main()
