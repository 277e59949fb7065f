import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from drift.evaluation.answers_chart import answers_chart
from drift.evaluation.charts import correction_rate_chart, multi_at_k_chart
from drift.training.charts import learning_curve_chart
from drift.weighting.charts import NUM_BINS, log_weight, returns_and_weights_chart
from drift.weighting.composition_chart import composition_chart
from drift.weighting.histogram import Histogram, histogram


def policy(share_K, rate_K, overall, control=None, repeated=0.4):
    around = [[None, None] if rate is None else [0.9 * rate, 1.1 * rate] for rate in rate_K]
    return {
        "multi_at_k": share_K,
        "ci95": [[0.9 * share, 1.1 * share] for share in share_K],
        "correction_rate": rate_K,
        "correction_rate_ci95": around,
        "correction_rate_overall": overall,
        "control": control,
        "repeated_answer_rate": repeated,
        "repeated_answer_rate_ci95": [None, None] if repeated is None else [0.9 * repeated, 1.1 * repeated],
        "format_loss_rate": 0.1,
        "format_loss_rate_ci95": [0.05, 0.2],
        "distinct_answers_failed": 2.5,
        "distinct_answers_failed_ci95": [2.2, 2.8],
    }


BEFORE = policy([0.4, 0.44, 0.46], [0.4, 0.07, 0.04], 0.1)
AFTER = policy([0.5, 0.7, 0.78], [0.5, 0.4, 0.27], 0.56)
PERFECT = policy([0.6, 0.8, 0.8], [1.0, None, None], None)
CHANCE = {"with_repetition": [0.25, 0.44, 0.58], "without_repetition": [0.25, 0.5, 0.75]}


def scores_of(*names, chance=None, **policies):
    policies = policies or {"reference": BEFORE, "trained": AFTER}
    shares = {name: entry["multi_at_k"][-1] for name, entry in policies.items()}
    return {
        "benchmarks": {name: {"problems": 50, **policies, "chance": chance} for name in names},
        "averages": {"math": None, "general": None, "all": shares},
    }


def histogram_of(values) -> Histogram:
    return histogram(lambda: np.array_split(values, 3), NUM_BINS)


def named(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_the_titles_state_the_finding():
    scores = scores_of("arithmetic")
    assert multi_at_k_chart(scores).layout.title.text == "multi@3 on arithmetic: 46 % → 78 % (+32 points)"
    title = correction_rate_chart(scores).layout.title.text
    assert title == "First mistakes corrected on arithmetic: 10 % → 56 % (+46 points)"
    several = scores_of("math", "gpqa")
    assert multi_at_k_chart(several).layout.title.text == "Mean multi@3 of 2 benchmarks: 46 % → 78 % (+32 points)"


def test_multi_at_k_is_drawn_in_per_cent_over_the_turns():
    (line,) = named(multi_at_k_chart(scores_of("arithmetic")), "trained")
    assert list(line.x) == [1, 2, 3]
    assert list(line.y) == pytest.approx([50, 70, 78])


def test_every_benchmark_has_a_panel_and_every_line_one_entry_in_the_legend():
    figure = multi_at_k_chart(scores_of(*"abcdef", chance=CHANCE))
    assert [annotation.text for annotation in figure.layout.annotations] == list("abcdef")
    assert len(named(figure, "trained")) == len(named(figure, "guessing, no repeats")) == 6
    shown = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(shown) == ["guessing", "guessing, no repeats", "reference", "trained"]


def test_chance_is_drawn_for_multiple_choice_only():
    assert not named(multi_at_k_chart(scores_of("arithmetic")), "guessing")
    (line,) = named(multi_at_k_chart(scores_of("gpqa", chance=CHANCE)), "guessing, no repeats")
    assert list(line.y) == pytest.approx([25, 50, 75])


def test_correction_rates_start_at_the_second_turn_and_leave_gaps_where_undefined():
    figure = correction_rate_chart(scores_of("easy", reference=BEFORE, trained=PERFECT))
    assert list(named(figure, "reference")[0].y) == pytest.approx([7, 4])
    assert list(named(figure, "trained")[0].y) == [None, None]
    assert list(named(figure, "trained")[0].error_y.array) == [None, None]
    assert figure.layout.title.text == "First mistakes corrected on easy: 10 % → none made"


def test_the_mean_correction_rate_is_over_benchmarks_on_which_every_policy_made_a_mistake():
    scores = scores_of("math", "gpqa")
    scores["benchmarks"]["easy"] = {"problems": 50, "reference": BEFORE, "trained": PERFECT, "chance": None}
    title = correction_rate_chart(scores).layout.title.text
    assert title == "First mistakes corrected, mean of 2 benchmarks: 10 % → 56 % (+46 points)"


def test_policies_other_than_the_two_are_named_in_the_title():
    figure = multi_at_k_chart(scores_of("arithmetic", reference=BEFORE))
    assert figure.layout.title.text == "multi@3 on arithmetic: reference 46 %"


def test_a_budget_of_one_turn_can_be_drawn():
    once = scores_of("arithmetic", reference=policy([0.4], [0.4], 0.0))
    assert list(named(multi_at_k_chart(once), "reference")[0].y) == pytest.approx([40])
    assert not named(correction_rate_chart(once), "reference")[0].y


def test_the_histograms_count_every_return_and_every_weight():
    generator = np.random.default_rng(0)
    return_M, weight_M = generator.uniform(-0.4, 1, 500), np.append(generator.lognormal(0, 3, 399), 0.0)
    returns, weights = returns_and_weights_chart(histogram_of(return_M), histogram_of(log_weight(weight_M)), 80.0).data
    assert sum(returns.y) == 500
    assert sum(weights.y) == 400


def test_equal_weights_can_be_drawn():
    _, weights = returns_and_weights_chart(histogram_of(np.ones(8)), histogram_of(np.zeros(8)), 8.0).data
    assert sum(weights.y) == 8


def test_the_composition_is_one_bar_of_all_problems():
    figure = composition_chart({"all_right": 20, "mixed": 30, "all_wrong": 10, "effective_sample_size": 7.0})
    assert [trace.name for trace in figure.data] == ["all right", "mixed", "all wrong"]
    assert sum(trace.x[0] for trace in figure.data) == pytest.approx(100)
    assert [trace.text[0] for trace in figure.data] == ["20", "30", "10"]
    assert figure.layout.title.text == "Problems that tell right from wrong (mixed): 50 % of 60"
    assert composition_chart({"all_right": 0, "mixed": 0, "all_wrong": 0}).data


def test_the_control_is_drawn_as_far_as_the_turns_go_in_the_colour_of_its_policy():
    control = {"pass_at_k": [0.4, 0.5, 0.6, 0.7], "ci95": [[0.3, 0.5]] * 4}
    figure = multi_at_k_chart(
        scores_of("arithmetic", reference=policy([0.4, 0.44, 0.46], [0.4, 0.1, 0.1], 0.1, control))
    )
    (line,) = named(figure, "reference, pass@k of attempts")
    assert list(line.x) == [1, 2, 3] and list(line.y) == pytest.approx([40, 50, 60])
    assert line.line.color == named(figure, "reference")[0].line.color


@pytest.mark.parametrize("draw", [multi_at_k_chart, correction_rate_chart, answers_chart])
def test_no_two_of_thirty_policies_are_drawn_alike(draw):
    names = ["reference", *(f"checkpoint {index}" for index in range(29))]
    figure = draw(scores_of("arithmetic", **dict.fromkeys(names, BEFORE)))
    drawn = {
        (line.marker.color or line.line.color, line.marker.symbol) for name in names for line in named(figure, name)
    }
    assert len(drawn) == 30


def test_repeated_answers_are_drawn_for_every_policy_and_benchmark_that_has_them():
    never_wrong = policy([1.0], [1.0], None, repeated=None)
    scores = scores_of("math", "gpqa", reference=BEFORE, trained=AFTER)
    scores["benchmarks"]["easy"] = {"problems": 3, "reference": BEFORE, "trained": never_wrong, "chance": None}
    figure = answers_chart(scores)
    repeated = {trace.name: list(trace.x) for trace in figure.data[:2]}
    assert repeated == {"reference": pytest.approx([40] * 3), "trained": pytest.approx([40] * 2)}
    assert figure.layout.title.text == "Retries that repeat an answer, mean of 2 benchmarks: 40 % → 40 % (+0 points)"
    assert sum(trace.showlegend for trace in figure.data) == 2


@pytest.mark.parametrize("draw", [multi_at_k_chart, correction_rate_chart, answers_chart])
def test_names_from_the_data_are_drawn_letter_by_letter(draw):
    hostile = "<a href='javascript:alert(1)'>x</a>"
    text = draw(scores_of(hostile, "gpqa", **{"reference": BEFORE, hostile: AFTER})).to_json()
    assert hostile not in text and "<a href" not in text.replace("\\u003c", "<")
    assert "&lt;a href" in text.replace("\\u0026", "&")


def training_log(**held_out) -> pd.DataFrame:
    falling = dict.fromkeys(("loss", "weighted_mean_loss", "gradient_norm"), np.linspace(2, 1, 20))
    rest = {"num_computed": 7, "tokens_per_second": 400.0, "effective_sample_size": 6.0, "held_out_loss": np.nan}
    return pd.DataFrame({"step": np.arange(1, 21), **falling, **rest, **held_out})


def test_the_learning_curve_has_losses_gradient_examples_and_speed():
    figure = learning_curve_chart(training_log())
    assert [trace.name for trace in figure.data if trace.name] == [
        "loss, unweighted",
        "loss, weighted mean",
        "gradient norm",
        "examples computed",
        "effective sample size",
        "tokens per second",
    ]
    assert sum(trace.showlegend for trace in figure.data) == 4, "where a panel has one line, its axis says which"
    assert all(list(trace.x) == list(range(1, 21)) for trace in figure.data)
    assert figure.layout.title.text == "Weighted mean loss over 20 steps: 1.89 → 1.11 nats per token"


def test_the_learning_curve_shows_the_held_out_loss_where_it_was_measured():
    measured = np.where(np.arange(1, 21) % 10 == 0, np.linspace(3, 2, 20), np.nan)
    figure = learning_curve_chart(training_log(held_out_loss=measured))
    line = figure.data[-1]
    assert (line.name, list(line.x)) == ("loss on held-out problems", [10, 20])
    assert figure.layout.title.text == "Loss on held-out problems over 20 steps: 2.53 → 2.00"


def test_importing_the_charts_does_not_import_plotly():
    modules = (
        "drift.evaluation.charts, drift.evaluation.answers_chart, drift.evaluation.report, drift.weighting.charts, "
        "drift.weighting.composition_chart, drift.training.charts"
    )
    program = f"import sys, {modules}; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
