import json

import pytest
from rich.console import Console

from drift.evaluation.score import score
from drift.evaluation.summary import summary_markdown, summary_table

TURNS = {"reference": [1, 0, 0, 2, 0, 0, 0, 1], "trained": [1, 2, 3, 1, 1, 0, 5, 1]}


@pytest.fixture
def make_scores(make_trajectories, make_problems):
    def make(turns, num_choices):
        sizes = {name: len(next(iter(of_policy.values()))) for name, of_policy in turns.items()}
        scores = score(make_trajectories(turns), make_problems(sizes, num_choices), 5, 200, 0)
        return json.loads(json.dumps(scores))

    return make


def printed(scores):
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(summary_table(scores))
    return capture.get()


def test_both_summaries_have_every_row_with_its_interval(make_scores):
    scores = make_scores({"arithmetic": TURNS}, {})
    share = scores["benchmarks"]["arithmetic"]["reference"]["multi_at_k"][4]
    for text in (printed(scores), summary_markdown(scores)):
        for label in ("arithmetic", "8 problems", *(f"multi@{k}" for k in range(1, 6)), "correction rate"):
            assert label in text
        assert f"{100 * share:.1f} % [" in text
        assert "distinct answers" in text and "+50.0 [" in text


def test_the_table_of_two_policies_fits_into_80_columns_unfolded(make_scores):
    lines = printed(make_scores({"arithmetic": TURNS}, {})).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("multi@") and line.count("[") == 3 and line.count("]") == 3 for line in lines) == 5


def test_what_is_not_defined_is_a_dash(make_scores):
    text = summary_markdown(make_scores({"easy": {"reference": [1, 1], "trained": [1, 1]}}, {}))
    assert "| correction rate | - | - | - |" in text


def test_one_policy_alone_has_no_difference(make_scores):
    scores = make_scores({"arithmetic": {"reference": TURNS["reference"]}}, {})
    assert "difference |" not in summary_markdown(scores)
    assert "trained" not in printed(scores)


def test_several_benchmarks_have_their_mean_and_what_guessing_reaches(make_scores):
    text = summary_markdown(make_scores({"gpqa": TURNS, "math|500": TURNS}, {"gpqa": 4}))
    assert "| **mean multi@5** | 2 benchmarks |" in text
    assert "Guessing on gpqa: multi@5 of 76.3 %, or 100.0 % when no guess is repeated." in text
    assert "**math\\|500**" in text
