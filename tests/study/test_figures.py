"""The charts show the numbers of the results, and those without data are not drawn."""

import copy

import numpy as np
import pytest

from drift.study.costs_chart import costs_chart
from drift.study.figures import study_charts
from drift.study.results import study_results


@pytest.fixture(scope="module")
def charts(full_results):
    return study_charts(full_results)


def trace(chart, name):
    return next(drawn for drawn in chart.data if drawn.name == name)


def test_a_whole_study_has_all_charts_and_one_cell_those_it_has_data_for(charts, smallest_results):
    sweeps = {"sweep_beta", "sweep_gamma", "sweep_n", "sweep_penalty", "sweep_max_turns"}
    assert set(charts) == sweeps | {"variants", "terminal_or_all_turns", "by_turn", "costs", "penalty"}
    assert set(study_charts(smallest_results)) == {"variants", "by_turn"}


def test_a_single_turn_has_no_charts_by_turn(make_cell):
    cell = copy.deepcopy(make_cell("drift"))
    cell["max_turns"] = 1
    for policy in cell["benchmarks"]["arithmetic"]["policies"].values():
        policy["solved_turn"] = [min(turn, 1) for turn in policy["solved_turn"]]
    assert set(study_charts(study_results([cell], "sft_5turn", "drift", num_samples=100))) == {"variants"}


def test_a_sweep_shows_results_intervals_weights_and_groups(charts, full_results):
    chart = charts["sweep_beta"]
    assert list(chart.layout.xaxis.ticktext) == ["0.01", "0.1", "0.5", "∞"]
    policies = [point["policy"] for point in full_results["sweeps"]["beta"]]
    entries = [full_results["policies"][policy] for policy in policies]
    multi = [entry["benchmarks"]["arithmetic"]["multi_at_k"] for entry in entries]
    drawn = trace(chart, "multi@5")
    np.testing.assert_allclose(drawn.y, [100 * metric["value"][-1] for metric in multi])
    np.testing.assert_allclose(np.add(drawn.y, drawn.error_y.array), [100 * metric["ci95"][-1][1] for metric in multi])
    np.testing.assert_allclose(
        np.subtract(drawn.y, drawn.error_y.arrayminus), [100 * metric["ci95"][-1][0] for metric in multi]
    )
    mixed = [entry["composition"]["mixed"]["value"] for entry in entries]
    np.testing.assert_allclose(trace(chart, "mixed").y, mixed)  # of 100 problems
    effective = [entry["composition"]["effective_sample_size"]["value"] / 8 for entry in entries]
    np.testing.assert_allclose(trace(chart, "effective sample size (% of examples)").y, effective)


def test_costs_add_up_and_say_what_is_reckoned(charts):
    chart = charts["costs"]
    sampling, training, total = chart.data
    np.testing.assert_allclose(np.add(sampling.y, training.y), total.y)
    assert list(total.x) == [1, 3, 5] and "reckoned" in sampling.name
    assert any("reckoned" in annotation.text for annotation in chart.layout.annotations)


def test_costs_that_were_not_counted_are_not_drawn(full_study):
    cells = copy.deepcopy(full_study)
    cells[0]["costs"]["sampling_seconds"] = None
    assert costs_chart(study_results(cells, "sft_5turn", "drift", num_samples=100)) is None


def test_the_penalty_is_drawn_without_a_sweep(make_cell):
    cells = [make_cell("drift"), make_cell("no_penalty", weighting={"penalty": 0.0})]
    results = study_results(cells, "sft_5turn", "drift", num_samples=100)
    chart = study_charts(results)["penalty"]
    assert list(chart.layout.xaxis.ticktext) == ["0", "0.5"]
    entries = [results["policies"][policy]["benchmarks"]["arithmetic"] for policy in ("no_penalty", "drift")]
    drawn, numbers = trace(chart, "distinct answers"), [entry["distinct_answers"] for entry in entries]
    np.testing.assert_allclose(drawn.y, [number["value"] for number in numbers])
    np.testing.assert_allclose(np.add(drawn.y, drawn.error_y.array), [number["ci95"][1] for number in numbers])
    np.testing.assert_allclose(trace(chart, "multi@1").y, [100 * entry["multi_at_k"]["value"][0] for entry in entries])


def test_terminal_and_all_turns_are_the_variants_that_differ_in_nothing_else(charts):
    assert [drawn.name for drawn in charts["terminal_or_all_turns"].data] == ["drift", "all_turns", "reference"]


def test_by_turn_shows_every_variant_once_in_the_legend(charts, full_results):
    named = [drawn.name for drawn in charts["by_turn"].data if drawn.showlegend is not False]
    assert named == ["reference", "drift", "sft_5turn", "star_2turn (2 of 3 seeds)", "all_turns", "no_penalty"]
