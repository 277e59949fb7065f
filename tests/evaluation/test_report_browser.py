"""The report in a real browser: it draws its charts, complains about nothing, and asks nobody for anything."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from drift.evaluation.report import PAGE, report_files


@pytest.fixture(scope="module")
def opened(chromium, make_report, tmp_path_factory) -> Iterator[tuple[Any, list[str], list[str]]]:
    """The page, what it logged, and what it requested."""
    directory = tmp_path_factory.mktemp("report")
    for name, text in report_files(make_report).items():
        (directory / name).write_text(text, encoding="utf-8")
    page, said, requested = chromium.new_page(viewport={"width": 1200, "height": 900}), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requested.append(request.url))
    page.goto((directory / PAGE).as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg .xtick').length > 0")
    yield page, said, requested
    page.close()


def test_the_page_draws_every_chart(opened):
    page, _, _ = opened
    assert (
        page.evaluate("[...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('.trace').length > 0)")
        == [True] * 3
    )


def test_the_page_complains_about_nothing_and_requests_only_itself(opened):
    page, said, requested = opened
    page.hover(".chart .nsewdrag")
    page.wait_for_timeout(200)
    assert said == []
    assert [url.rsplit("/", 1)[-1] for url in requested] == [PAGE]


def test_a_hostile_name_is_read_letter_by_letter(opened, hostile_name):
    page, _, _ = opened
    assert hostile_name in page.inner_text("#overview thead")
    assert page.locator("img").count() == 0
    assert page.locator(".chart a").count() == 0


def test_the_tables_are_inside_the_page(opened):
    page, _, _ = opened
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    assert page.locator("#details tbody tr").count() > 20
    assert page.locator("#control tbody tr").count() == 4


def test_every_parameter_can_be_unfolded(opened, hostile_name):
    page, _, _ = opened
    page.click("summary")
    settings = yaml.safe_load(page.inner_text("#parameters"))
    assert settings["problems"]["evaluation"] == {"source": "file", "path": hostile_name}


def test_every_chart_opens_as_a_file_of_its_own(chromium, make_report, tmp_path):
    for name, text in report_files(make_report).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    page, said = chromium.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for name in make_report.charts:
        page.goto((tmp_path / f"{name}.html").as_uri())
        page.wait_for_selector(".chart .main-svg .xtick", state="attached")
        assert page.locator(".chart .trace").count() > 0
    assert said == []
    page.close()
