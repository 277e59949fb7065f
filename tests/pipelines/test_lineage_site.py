"""The static site of `kedro viz build`, as a browser shows it: the house in layers, charts, tables, the card."""

import functools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pyarrow as pa
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from drift.model_directory import ModelDirectory
from drift.pipelines.problem_frames import to_frame
from drift.problems.sources import ArithmeticSource, load_problems
from drift.shards import ShardStream
from drift.training.charts import learning_curve_chart
from drift.training.step_log import StepLog

LAYERS = ["raw", "primary", "intermediate", "feature", "model_input", "models", "model_output", "reporting"]
PROGRAM = "model.generate(**inputs, do_sample=False, max_new_tokens=24)  # a_b *c*"
TABLE = "| | |\n|---|---|\n| steps | 64 |"
CARD = f"---\ntags: [drift]\n---\n\n# A card\n\nIt says\nmuch.\n\n{TABLE}\n\n```python\n{PROGRAM}\n```\n"


@pytest.fixture(scope="module")
def site(project_path, kedro, tmp_path_factory) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the site is served, and the ids of its datasets, after some of the catalog was saved."""
    problems = to_frame(load_problems(ArithmeticSource(source="arithmetic", limit=12), "train", 0))
    log = pd.DataFrame([asdict(step_log(1, 0.9)), asdict(step_log(2, 0.4))]).astype(
        {"mfu": float, "held_out_loss": float}
    )
    policy = tmp_path_factory.mktemp("policy")
    (policy / "config.json").write_text("{}")
    bootstrap_project(project_path)
    with KedroSession.create(project_path=project_path, env="test") as session:
        catalog = session.load_context().catalog
    catalog.save("train_problems", problems)
    catalog.save("training_log", log)
    catalog.save("learning_curve", learning_curve_chart(log))
    catalog.save("multi_at_k", {"benchmarks": {"arithmetic": {"problems": 12}}, "averages": {}})
    catalog.save("model_card", CARD)
    catalog.save("reference_model", ModelDirectory(policy, {"path": "some_model_of_mine", "fingerprint": "f"}))
    turns = [{"response": "14 + 16 = 30", "start": 2, "end": 5}]
    columns = {"problem_id": ["14+16"], "token_ids": [list(range(400))], "turns": [turns], "success": [True]}
    catalog.save("trajectories", ShardStream([pa.table(columns)], {}))
    built = kedro("viz", "build", "--include-previews")
    assert (project_path / "build" / "index.html").is_file(), built.stdout + built.stderr
    ids = {node["name"]: node["id"] for node in json.loads((project_path / "build/api/main").read_text())["nodes"]}
    handler = functools.partial(_Quiet, directory=str(project_path / "build"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", ids
        server.shutdown()


def step_log(step: int, loss: float) -> StepLog:
    """One step of a training without held-out problems, on a machine whose peak is not known."""
    return StepLog(
        step=step,
        loss=loss,
        weighted_loss=loss,
        weighted_mean_loss=loss,
        gradient_norm=2.0,
        learning_rate=1e-5,
        effective_sample_size=3.5,
        pruned_mass=0.0,
        num_computed=4,
        num_tokens=200,
        num_targets=20,
        seconds=0.5,
        tokens_per_second=400.0,
        mfu=None,
    )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def page(chromium, site):
    """A page of a real browser that reaches the site and nothing else (Kedro-Viz asks a host for its fonts)."""
    page = chromium.new_page(viewport={"width": 1500, "height": 1000})
    page.route(lambda url: not url.startswith(site[0]), lambda route: route.abort())
    page.set_default_timeout(20_000)
    yield page
    page.close()


@pytest.fixture
def show(page, site):
    """Opens a dataset's panel and gives it."""

    def open_panel(name: str):
        page.goto(f"{site[0]}?pid=__default__&sid={site[1][name]}")
        panel = page.locator(".pipeline-metadata")
        panel.get_by_text("Expand preview").wait_for()
        return panel

    return open_panel


@pytest.mark.long
def test_the_whole_house_is_drawn_in_its_layers(page, site):
    page.goto(site[0])
    page.locator(".pipeline-node").first.wait_for()
    page.locator(".pipeline-layer-name").nth(len(LAYERS) - 1).wait_for(state="attached")
    assert page.locator(".pipeline-layer-name").all_text_contents() == LAYERS
    drawn = {text.strip() for text in page.locator(".pipeline-node__text").all_text_contents()}
    assert {"reference_model", "trajectories", "weighted_turns", "checkpoint", "multi_at_k", "model_card"} <= drawn


def test_a_chart_is_drawn(show):
    panel = show("learning_curve")
    panel.locator(".js-plotly-plot .main-svg").first.wait_for()
    assert panel.locator(".js-plotly-plot .scatterlayer path.js-line").count() > 0
    assert "Weighted mean loss over 2 steps: 0.90 → 0.40" in panel.locator(".js-plotly-plot").text_content()


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("train_problems", ["problem_id", "arithmetic", "numeric"]),
        ("training_log", ["weighted_mean_loss", "gradient_norm", "0.4"]),
        ("trajectories", ["14+16", "[{'response': '14 + 16 = 30'", "…"]),
        ("multi_at_k", ["benchmarks", "arithmetic"]),
        ("reference_model", ["some_model_of_mine"]),
    ],
)
def test_tables_and_numbers_are_shown(show, name, texts):
    shown = show(name).text_content()
    assert [text for text in texts if text not in shown] == []


def test_the_card_reads_as_it_was_written(show):
    panel = show("model_card")
    assert panel.locator("h1", has_text="A card").count() == 1
    assert panel.get_by_text("It says much.").count() == 1
    assert panel.locator("td", has_text="64").count() == 1
    assert "tags:" not in panel.text_content(), "front matter is for programs"
    assert re.sub(r"\s+$", "", panel.locator("pre code").first.text_content()) == PROGRAM
