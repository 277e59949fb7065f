"""The study's page: whole, escaped, and drawn in a real browser without asking anybody for anything."""

import json

import pytest

from drift.study.page import PAGE, study_page
from drift.study.results import study_results

HOSTILE = "</script><img src=x onerror=alert(1)><b>{{ 7 * 7 }} & \"q\" 'a' $x$"


@pytest.fixture(scope="module")
def hostile_results(make_cell):
    names = {HOSTILE: 10, "arithmetic": 10}
    variants = ("drift", "sft_5turn", HOSTILE)
    return study_results(
        [make_cell(name, seed, benchmarks=names) for name in variants for seed in range(2)],
        "sft_5turn",
        "drift",
        num_samples=100,
    )


def test_the_page_has_its_tables_its_numbers_and_its_charts_beside_it(full_results):
    files = study_page(full_results)
    assert {PAGE, "results.md", "tables.tex", "results.json", "variants.html", "sweep_n.html", "plotly.min.js"} <= set(
        files
    )
    assert json.loads(files["results.json"]) == full_results
    assert files["results.md"].count("\n\n\n\n") == 0 and "NaN" not in files["results.md"]
    assert "http" not in files["results.md"]


def test_one_cell_alone_has_a_page(smallest_results):
    files = study_page(smallest_results)
    assert "One seed" in files["results.md"] and "costs.html" not in files


def test_the_browser_draws_every_chart_and_nothing_from_the_data_becomes_part_of_the_page(
    chromium, hostile_results, tmp_path
):
    files = study_page(hostile_results)
    (tmp_path / PAGE).write_text(files[PAGE], encoding="utf-8")
    page, said, requested = chromium.new_page(viewport={"width": 1200, "height": 900}), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requested.append(request.url))
    page.goto((tmp_path / PAGE).as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg .xtick').length > 0")
    drawn = page.evaluate("[...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('.trace').length > 0)")
    assert drawn and all(drawn)
    assert said == []
    assert [url.rsplit("/", 1)[-1] for url in requested] == [PAGE]
    assert page.locator("img").count() == 0
    assert HOSTILE in page.inner_text("#policies")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    page.close()
