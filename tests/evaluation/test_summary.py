import json

import pyarrow as pa
import pytest
from rich.console import Console

from drift.evaluation.latex import overview_latex
from drift.evaluation.score import score
from drift.evaluation.summary import summary_markdown, summary_table
from drift.problems.problem import PROBLEM_SCHEMA
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA

TURNS = {"reference": [1, 0, 0, 2, 0, 0, 0, 1], "trained": [1, 2, 3, 1, 1, 0, 5, 1]}


@pytest.fixture
def make_scores(make_trajectories, make_problems):
    def make(turns, num_choices):
        sizes = {name: len(next(iter(of_policy.values()))) for name, of_policy in turns.items()}
        scores = score(make_trajectories(turns), make_problems(sizes, num_choices), 5, 200, 0)
        return json.loads(json.dumps(scores))

    return make


def printed(scores, width=80):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(summary_table(scores, width))
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


def test_p_values_are_said_to_be_uncorrected_wherever_they_are_printed(make_scores):
    one, several = (
        make_scores({"arithmetic": TURNS}, {}),
        make_scores({"arithmetic": TURNS, "gpqa": TURNS}, {"gpqa": 4}),
    )
    for text in (printed(one), printed(one, 120), printed(several), summary_markdown(one)):
        assert "uncorrected" in text
    assert "uncorrected" not in printed(make_scores({"arithmetic": {"reference": TURNS["reference"]}}, {}))


def test_what_is_not_defined_is_a_dash(make_scores):
    text = summary_markdown(make_scores({"easy": {"reference": [1, 1], "trained": [1, 1]}}, {}))
    assert "| correction rate | - | - | - | - |" in text


def test_one_policy_alone_has_no_difference(make_scores):
    scores = make_scores({"arithmetic": {"reference": TURNS["reference"]}}, {})
    assert "difference |" not in summary_markdown(scores)
    assert "trained" not in printed(scores)


def test_several_benchmarks_have_their_mean_and_what_guessing_reaches(make_scores):
    text = summary_markdown(make_scores({"gpqa": TURNS, "math|500": TURNS}, {"gpqa": 4}))
    assert "| **mean multi@5** | 2 benchmarks |" in text
    assert "multi@5: gpqa 76.3 % (100.0 %)." in text
    assert "**math\\|500**" in text


SIX = ["math", "math-500", "theoremqa", "mmlu-redux", "mmlu-pro", "gpqa-diamond"]
LONG = [
    "my company's held-out questions, version 3 (final)",
    "a_file_name_without_any_spaces_that_goes_on_and_on.jsonl",
]
THREE = {**TURNS, "sft": [0, 2, 3, 1, 1, 0, 5, 1]}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    ("names", "turns"),
    [(["arithmetic"], TURNS), (SIX, TURNS), (LONG, TURNS), (LONG, THREE), (LONG[:1], THREE), (LONG[1:], TURNS)],
)
def test_every_table_keeps_to_the_width_and_breaks_no_number(make_scores, names, turns, width):
    scores = make_scores(dict.fromkeys(names, turns), {})
    lines = printed(scores, width).splitlines()
    assert max(map(len, lines)) <= width
    table = lines[: next(index for index, line in enumerate(lines) if line.startswith("[95"))]
    for policy in turns if len(names) > 1 or len(turns) > 2 else []:
        of_policy = [line for line in table if line.strip().startswith(policy)]
        assert len(of_policy) == len(names) + (len(names) > 1), "one line on every benchmark and the average"
        assert all(line.count("[") == line.count("]") > 0 for line in of_policy)
    for name in names:
        assert name.replace(" ", "") in "".join(line[:22].strip() for line in table).replace(" ", "")


def test_the_table_of_several_benchmarks_has_each_policy_its_difference_and_its_p(make_scores):
    scores = make_scores(dict.fromkeys(SIX, TURNS), {})
    lines = printed(scores, 120).splitlines()
    entry = scores["benchmarks"]["gpqa-diamond"]
    line = lines[next(index for index, line in enumerate(lines) if line.startswith("gpqa-diamond")) + 2]
    shares = (
        f"{100 * entry['trained']['multi_at_k'][4]:.1f} % [",
        f"{100 * entry['difference']['multi_at_k'][4]:+.1f} [",
    )
    assert line.strip().startswith("trained") and all(share in line for share in shares)
    assert f"{entry['difference']['p_value'][4]:.3f}" in line
    assert any(line.startswith("average") for line in lines)


def test_a_narrow_table_says_its_p_values_below(make_scores):
    scores = make_scores({"arithmetic": TURNS}, {})
    p_value = f"multi@5 {scores['benchmarks']['arithmetic']['difference']['p_value'][4]:.3f}"
    assert p_value in " ".join(printed(scores, 80).split())
    assert p_value not in printed(scores, 120)


def test_markdown_shows_names_letter_by_letter(make_scores):
    text = summary_markdown(make_scores(dict.fromkeys(["<b>bold</b>", "[a](http://x)"], TURNS), {}))
    assert "\\<b\\>bold\\</b\\>" in text and "<b>" not in text.replace("\\<b", "")
    assert "\\[a\\](http://x)" in text


def test_a_policy_is_named_letter_by_letter_in_every_table(make_scores):
    name = "[red]<i>one|two"
    for names in (["arithmetic"], SIX):
        scores = make_scores({key: {"reference": TURNS["reference"], name: TURNS["trained"]} for key in names}, {})
        assert name in printed(scores, 120)
        assert "[red]\\<i\\>one\\|two" in summary_markdown(scores)


TURN = {"response": "A", "start": 3, "end": 5, "answer": "A", "verdict": "correct", "stopped": True}
ONCE = {"policy": "reference", "benchmark": "file", "problem_id": "file-0", "trajectory_id": 0}
ONCE |= {"token_ids": [0] * 5, "turns": [TURN], "success": True, "num_turns": 1}


def test_a_budget_of_one_turn_has_a_table():
    once = pa.Table.from_pylist([ONCE], EVAL_TRAJECTORY_SCHEMA)
    problem = {"problem_id": "file-0", "problem": "?", "answer": "A", "verifier": "math", "source": "file"}
    scores = score(once, pa.Table.from_pylist([problem], PROBLEM_SCHEMA), 1, 100, 0)
    assert "multi@1" in printed(scores) and "multi@2" not in printed(scores)
    for text in (summary_markdown(scores), overview_latex(scores)):
        assert "multi@1" in text and "NaN" not in text
