"""The tables: those a study has data for, the same numbers in every form."""

import re
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from drift.study.findings import cautions, findings, kind_of
from drift.study.results import study_results
from drift.study.summary import study_summary
from drift.study.table_formats import table_markdown, table_rich, tables_latex
from drift.study.tables import study_tables

ALWAYS = {"policies", "turns", "correction_by_turn", "composition", "costs"}


@pytest.fixture(scope="module")
def tables(full_results):
    return study_tables(full_results)


def printed(renderable, width: int) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(renderable)
    return console.export_text()


def test_a_whole_study_has_all_tables_and_one_cell_those_it_has_data_for(tables, smallest_results):
    sweeps = {"sweep_beta", "sweep_gamma", "sweep_n", "sweep_penalty", "sweep_max_turns"}
    assert set(tables) == ALWAYS | sweeps | {"penalty"}
    assert set(study_tables(smallest_results)) == ALWAYS


def test_every_line_is_as_long_as_the_header(tables):
    for table in tables.values():
        assert all(len(row.cells) in (0, len(table.header)) for row in table.rows)


def test_the_penalty_needs_no_sweep(make_cell):
    cells = [
        make_cell("drift"),
        make_cell("no_penalty", weighting={"penalty": 0.0}),
        make_cell("sft_5turn", weighting={"beta": "inf"}),
    ]
    table = study_tables(study_results(cells, "sft_5turn", "drift", num_samples=100))["penalty"]
    assert [row.label for row in table.rows] == ["penalty = 0", "penalty = 0.5"]


def test_table_1_holds_every_policy_its_differences_and_its_missing_seed(tables, full_results):
    rows = {row.label: row.cells for row in tables["policies"].rows if row.cells}
    value = full_results["differences"]["reference"]["star_2turn"]["benchmarks"]["arithmetic"]["multi_at_k"]["value"][
        -1
    ]
    assert rows["star_2turn"][1][0] == f"{100 * value:+z.1f}"  # the last of three lines of that name
    assert tables["policies"].rows[3].label == "star_2turn" and tables["policies"].rows[3].cells[0] == ("2", "")
    assert tables["turns"].rows[3].label == "star_2turn (2 of 3 seeds)"


def test_every_number_is_in_every_form(tables):
    latex = tables_latex(tables)
    for table in tables.values():
        markdown, terminal = table_markdown(table), printed(table_rich(table), 220)
        for row in table.rows:
            for cell in row.cells:
                for text in filter(None, cell):
                    assert text in markdown and text in terminal and f"${text}$" in latex


def test_latex_has_as_many_cells_in_every_line_as_columns(tables):
    latex = tables_latex(tables)
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == len(tables)
    assert not set("βγ∞…").intersection(latex)
    for block, table in zip(re.findall(r"\\toprule(.*?)\\bottomrule", latex, re.DOTALL), tables.values(), strict=True):
        lines = [line for line in block.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(table.header)}


def test_several_benchmarks_are_sections_and_columns(make_cell):
    names = {"math500": 10, "arithmetic": 10}
    results = study_results(
        [make_cell("drift", benchmarks=names), make_cell("sft_5turn", benchmarks=names)],
        "sft_5turn",
        "drift",
        num_samples=100,
    )
    tables = study_tables(results)
    assert [name.split(" (")[0] for name in tables["policies"].header] == ["seeds", "math500", "arithmetic", "average"]
    headings = [row.label for row in tables["turns"].rows if not row.cells]
    assert headings == ["math500, 10 problems", "arithmetic, 10 problems", "average, 2 benchmarks"]


def test_the_sentences_say_which_differences_exclude_zero(full_results):
    said = findings(full_results)
    assert said[1].startswith("multi@5 on arithmetic, in points: ")
    for before, of_others in full_results["differences"].items():
        for policy, entry in of_others.items():
            if full_results["policies"][policy]["swept"] is None:
                low, high = entry["benchmarks"]["arithmetic"]["multi_at_k"]["ci95"][-1]
                sentence = next(
                    text for text in said if text.startswith("multi@5") and f"{before}" in text.split(":")[1]
                )
                verdict = next(
                    part
                    for part in sentence.removeprefix("multi@5 on arithmetic, in points: ").split("; ")
                    if f"{policy} " in part
                )
                assert verdict.startswith("above") == (low > 0) and verdict.startswith("below") == (high < 0)


@pytest.mark.parametrize(
    ("ends", "kind"), [((0.1, 0.2), "above"), ((-0.2, -0.1), "below"), ((0.0, 0.1), "alike"), ((-1, 1), "alike")]
)
def test_an_interval_that_touches_zero_tells_nothing(ends, kind):
    assert kind_of(ends) == kind


def test_one_seed_and_missing_seeds_are_said(full_results, smallest_results):
    assert "say nothing about another training" in cautions(smallest_results)[0]
    assert any("star_2turn (2 of 3 seeds)" in sentence for sentence in cautions(full_results))


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_has_a_line_for_every_variant_within_the_width(full_results, width):
    text = printed(study_summary(full_results, width), width)
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 3 + len(full_results["policies"])
    value = full_results["policies"]["drift"]["benchmarks"]["arithmetic"]["multi_at_k"]["value"][-1]
    assert f"{100 * value:.1f} %" in next(line for line in lines if line.startswith("drift"))


def test_the_total_of_a_variant_is_its_sampling_and_its_training(tables, full_results):
    costs = full_results["policies"]["max_turns_1"]["costs"]
    total = np.add(costs["sampling_seconds_within"][0]["by_seed"], costs["training_seconds"]["by_seed"]).mean()
    row = next(row for row in tables["costs"].rows if row.label == "turns = 1, reckoned")
    assert row.cells[4][0] == f"{total:,.0f}"


def test_sampling_fewer_trajectories_is_reckoned_by_their_share(tables, full_results):
    sampling = np.array(full_results["policies"]["n_2"]["costs"]["sampling_seconds"]["by_seed"])
    row = next(row for row in tables["costs"].rows if row.label == "N = 2, reckoned")
    assert [text for text, _ in row.cells[:3]] == ["2", "5", f"{np.mean(20 + 2 / 8 * (sampling - 20)):,.0f}"]
    whole = next(row for row in tables["costs"].rows if row.label == "drift")
    assert [text for text, _ in whole.cells[:3]] == ["8", "5", f"{sampling.mean():,.0f}"]
