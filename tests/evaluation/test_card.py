import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from drift.evaluation.card import evaluated_card
from drift.evaluation.score import score

CARD = """---
base_model: someone/model
license: mit
tags:
- drift
---

# model, trained to correct itself

What it is.

## Where it comes from

| | |
|---|---|
| seed | 0 |
"""


@pytest.fixture(scope="module")
def scores(make_trajectories, make_problems) -> dict:
    turns = {"sums": {"reference": [1, 0, 0, 3], "trained": [1, 2, 0, 1]}}
    return score(make_trajectories(turns), make_problems({"sums": 4}, {}), 5, 100, 0)


def test_results_are_in_the_text_and_in_the_hubs_index(scores):
    card = ModelCard(evaluated_card(CARD, scores))
    assert (card.data.base_model, card.data.license) == ("someone/model", "mit")
    (name, entry), *_ = scores["benchmarks"].items()
    trained = entry["trained"]["multi_at_k"]
    indexed = {
        (result.dataset_name, result.metric_type): result.metric_value for result in card.data.eval_results or []
    }
    assert indexed[(name, "multi@1")] == round(100 * trained[0], 2)
    assert indexed[(name, f"multi@{len(trained)}")] == round(100 * trained[-1], 2)
    assert f"| multi@1 | {100 * entry['reference']['multi_at_k'][0]:.1f} %" in card.text


def test_results_stand_before_the_origin_and_nothing_is_lost(scores):
    lines = evaluated_card(CARD, scores).splitlines()
    headings = [line for line in lines if line.startswith("#")]
    assert headings == ["# model, trained to correct itself", "## Results", "## Where it comes from"]
    for line in CARD.split("---\n", 2)[2].splitlines():
        assert line in lines


def test_a_checkpoint_without_a_card_gets_one_of_results_alone(scores):
    text = evaluated_card(None, scores)
    assert "## Results" in text
    model_name, results = model_index_to_eval_results(ModelCard(text).data.to_dict()["model-index"])
    assert model_name and results
