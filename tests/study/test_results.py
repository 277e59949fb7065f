"""Policies side by side: seeds that are missing are seen, and only what is comparable is compared."""

import copy
import json

import numpy as np
import pytest

from drift.errors import UserError
from drift.evaluation.ratios import METRICS
from drift.study.cell import outcomes_in
from drift.study.made_of import sampling_seconds_within
from drift.study.results import study_results


def test_results_survive_strict_json_and_begin_with_the_reference(full_results):
    assert json.loads(json.dumps(full_results, allow_nan=False)) == full_results
    policies = list(full_results["policies"])
    assert policies[:6] == ["reference", "drift", "sft_5turn", "star_2turn", "all_turns", "no_penalty"]
    assert full_results["baseline"] == "sft_5turn"


def test_a_value_is_the_mean_of_its_seeds(full_study, full_results):
    own = [cell for cell in full_study if cell["variant"] == "drift"]
    entry = full_results["policies"]["drift"]["benchmarks"]["arithmetic"]
    for metric, ratio_of in METRICS.items():
        of_seeds = [ratio_of(outcomes_in(cell, "arithmetic", "trained")).value() for cell in own]
        np.testing.assert_allclose(np.ravel(entry[metric]["value"]), np.mean(of_seeds, axis=0))


def test_a_missing_seed_is_seen_and_differences_are_over_the_common_seeds(full_results):
    policies, differences = full_results["policies"], full_results["differences"]["sft_5turn"]
    assert policies["star_2turn"]["seeds"] == [0, 1] and policies["drift"]["seeds"] == [0, 1, 2]
    entry = differences["star_2turn"]["benchmarks"]["arithmetic"]
    assert entry["seeds"] == [0, 1]
    own, other = (
        policies[name]["benchmarks"]["arithmetic"]["multi_at_k"]["by_seed"] for name in ("star_2turn", "sft_5turn")
    )
    expected = np.subtract(own, other[:2]).mean(axis=0)
    np.testing.assert_allclose(entry["multi_at_k"]["value"], expected, atol=1e-12)


def test_everything_but_the_reference_differs_from_the_reference(full_results):
    names = set(full_results["policies"]) - {"reference"}
    assert set(full_results["differences"]["reference"]) == names
    assert set(full_results["differences"]["sft_5turn"]) == names - {"sft_5turn"}


def test_a_sweep_is_in_order_and_holds_the_variants_that_are_points_of_it(full_results):
    points = {
        name: [(point["value"], point["policy"]) for point in of_sweep]
        for name, of_sweep in full_results["sweeps"].items()
    }
    assert points["beta"] == [(0.01, "beta_0_01"), (0.1, "drift"), (0.5, "beta_0_5"), ("inf", "sft_5turn")]
    assert points["penalty"] == [(0.0, "no_penalty"), (0.5, "drift"), (1.0, "penalty_1")]
    assert points["n"] == [(2, "n_2"), (4, "n_4"), (8, "drift")]
    assert points["max_turns"] == [(1, "max_turns_1"), (3, "max_turns_3"), (5, "drift")]


def test_a_sweep_whose_values_are_all_variants_is_a_sweep(make_cell):
    cells = [make_cell("drift"), make_cell("no_penalty", weighting={"penalty": 0.0}), make_cell("other")]
    sweeps = study_results(cells[:2], "sft_5turn", "drift", ["penalty"], num_samples=100)["sweeps"]
    assert sweeps == {"penalty": [{"value": 0.0, "policy": "no_penalty"}, {"value": 0.5, "policy": "drift"}]}
    assert study_results(cells[:2], "sft_5turn", "drift", num_samples=100)["sweeps"] == {}


def test_the_results_say_what_was_asked_of_which_model(smallest_results):
    assert smallest_results["asked"]["model"] == {"path": "bundled:smollm2-135m-instruct"}
    assert "torch" in smallest_results["packages"]


def test_one_cell_alone_has_results(smallest_results):
    assert smallest_results["baseline"] is None
    assert list(smallest_results["differences"]) == ["reference"]
    assert smallest_results["policies"]["drift"]["costs"]["training_seconds"]["ci95"] is None
    assert smallest_results["sweeps"] == {}


def test_an_average_is_over_the_benchmarks_that_a_policy_has_all_of(make_cell):
    both = {"math500": 20, "gpqa_diamond": 10, "arithmetic": 10}
    cells = [
        make_cell("drift", benchmarks=both, num_choices={"gpqa_diamond": 4}),
        make_cell("sft_5turn", benchmarks={"arithmetic": 10}),
    ]
    results = study_results(cells, "sft_5turn", "drift", num_samples=100)
    assert results["averages"] == {"all": ["math500", "gpqa_diamond", "arithmetic"]}
    drift, baseline = results["policies"]["drift"], results["policies"]["sft_5turn"]
    values = [drift["benchmarks"][name]["multi_at_k"]["value"] for name in both]
    np.testing.assert_allclose(drift["averages"]["all"]["multi_at_k"]["value"], np.mean(values, axis=0))
    assert baseline["averages"]["all"] is None and baseline["benchmarks"]["math500"] is None
    assert results["benchmarks"]["gpqa_diamond"]["chance"]["without_repetition"][-1] == 1
    assert results["benchmarks"]["math500"]["chance"] is None


def test_sampling_fewer_turns_is_reckoned_by_their_tokens(full_study):
    costs = full_study[0]["costs"]
    # 20 of 100 seconds start the engine, whatever is sampled
    np.testing.assert_allclose(sampling_seconds_within(costs), [52, 76, 88, 96, 100])


def test_seconds_that_were_not_counted_are_not_known(make_cell):
    cell = make_cell("drift")
    cell["costs"]["sampling_seconds"] = None
    costs = study_results([cell], "sft_5turn", "drift", num_samples=100)["policies"]["drift"]["costs"]
    assert costs["sampling_seconds"] is None and costs["sampling_seconds_within"] == [None] * 5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda cell: cell.update(seed=0), "with seed 0 is among the cells twice"),
        (lambda cell: cell.update(study="other"), "put only cells of one study side by side"),
        (lambda cell: cell.update(max_turns=4), "put only cells of one study side by side"),
        (lambda cell: cell.update(variant="reference"), "cannot be called 'reference'"),
        (
            lambda cell: cell.update(seed=0, variant="other", trajectories="sampled again"),
            "was trained on other trajectories than the variants before it",
        ),
        (
            lambda cell: (
                cell.update(seed=0, variant="other", trajectories="rollout of seed 0")
                or cell["benchmarks"]["arithmetic"]["problem_ids"].reverse()
            ),
            "was not asked the same problems of 'arithmetic'",
        ),
    ],
)
def test_cells_that_do_not_belong_together_are_refused(make_cell, change, sentence):
    other = copy.deepcopy(make_cell("drift", seed=1))
    change(other)
    with pytest.raises(UserError, match=sentence):
        study_results([make_cell("drift"), other], "sft_5turn", "drift", num_samples=100)


def test_a_study_without_cells_is_refused():
    with pytest.raises(UserError, match="no finished cell"):
        study_results([], "sft_5turn", "drift")
