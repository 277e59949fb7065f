"""The report's charts are of the scores, the training and the data that belong together, or they are left out."""

from dataclasses import asdict

import pandas as pd
import pyarrow as pa
import pytest

from drift.evaluation.report_charts import report_charts
from drift.model_directory import ModelDirectory
from drift.shards import shard_path, write_manifest, write_shard
from drift.training.step_log import StepLog, log_fingerprint

RESULTS = ["multi_at_k", "correction_rate", "answers"]
ROWS = [asdict(StepLog(step, 1.0, 0.9, 0.8, 2.0, 1e-5, 3.5, 0.0, 4, 200, 20, 0.5, 400.0, None)) for step in (1, 2)]
LOG = pd.DataFrame(ROWS).astype({"mfu": float, "held_out_loss": float})


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint trained on two problems, one of which all trajectories solved; the other one was dropped."""
    returns = {"problem_id": ["a", "a", "b", "b"], "success": [True, True, False, False]}
    tables = {
        "shaped_returns": returns | {"shaped_return": [1.0, 0.9, 0.0, -0.5]},
        "weighted_turns": {"problem_id": ["a", "a"], "success": [True, True], "weight": [1.5, 0.5]},
    }
    for name, columns in tables.items():
        (tmp_path / name).mkdir()
        write_shard(pa.table(columns), shard_path(tmp_path / name, 0))
        write_manifest(tmp_path / name, {})
    data = {"path": str(tmp_path / "weighted_turns"), "shaped_returns": {"path": str(tmp_path / "shaped_returns")}}
    note = {"fingerprint": "bb", "prune_below": 0.0, "training_log": log_fingerprint(ROWS), "weighted_turns": data}
    return ModelDirectory(tmp_path, note)


def test_every_chart_is_there_where_everything_belongs_together(make_report, checkpoint):
    charts = report_charts(make_report.scores, checkpoint, LOG)
    assert list(charts) == [*RESULTS, "learning_curve", "composition", "returns_and_weights"]
    assert charts["composition"].layout.title.text.endswith("0 % of 2")
    assert charts["returns_and_weights"].layout.title.text == "2 examples weigh as much as 2 equal ones"
    assert "2 steps: 0.80 → 0.80" in charts["learning_curve"].layout.title.text


def test_a_chart_whose_data_is_another_or_gone_is_left_out(make_report, checkpoint):
    of_another_training = LOG.assign(loss=2.0)
    assert "learning_curve" not in report_charts(make_report.scores, checkpoint, of_another_training)
    (checkpoint.path / "shaped_returns" / "manifest.json").unlink()
    assert list(report_charts(make_report.scores, checkpoint, LOG)) == [*RESULTS, "learning_curve"]
    older = ModelDirectory(checkpoint.path, {"fingerprint": "bb"})
    assert list(report_charts(make_report.scores, older, LOG)) == RESULTS
