"""The charts of the report, drawn from the scores it tells and from the data its policy was trained on.

Nothing is taken from the catalog's charts, which another run may have drawn. A chart is left out where its data is not
there any more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift.evaluation.answers_chart import answers_chart
from drift.evaluation.charts import correction_rate_chart, multi_at_k_chart
from drift.evaluation.made_from import is_log_of
from drift.model_directory import ModelDirectory
from drift.shards import MANIFEST, Shards
from drift.training.charts import learning_curve_chart
from drift.weighting.charts import chart_of_weights
from drift.weighting.composition import composition
from drift.weighting.composition_chart import composition_chart

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


def report_charts(
    scores: Mapping[str, Any], checkpoint: ModelDirectory, training_log: "pd.DataFrame"
) -> dict[str, "Figure"]:
    """The charts by name, in the order in which they are shown: results first, then training, then its data."""
    charts = {
        "multi_at_k": multi_at_k_chart(scores),
        "correction_rate": correction_rate_chart(scores),
        "answers": answers_chart(scores),
    }
    if is_log_of(checkpoint, training_log):
        charts["learning_curve"] = learning_curve_chart(training_log)
    return charts | charts_of_the_data(checkpoint)


def charts_of_the_data(checkpoint: ModelDirectory) -> dict[str, "Figure"]:
    """How the problems were solved, and how returns and weights are spread, in the versions that were trained on."""
    data = checkpoint.provenance.get("weighted_turns", {})
    paths = [data.get("shaped_returns", {}).get("path"), data.get("path")]
    if not all(path and (Path(path) / MANIFEST).is_file() for path in paths):
        return {}
    shaped_returns, weighted_turns = (Shards.open(Path(path)) for path in paths)
    counts = composition(shaped_returns, weighted_turns, checkpoint.provenance["prune_below"])
    return {
        "composition": composition_chart(counts.to_dict()),
        "returns_and_weights": chart_of_weights(shaped_returns, weighted_turns, counts.effective_sample_size),
    }
