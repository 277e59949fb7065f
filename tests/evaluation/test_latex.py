import shutil
import subprocess

import pytest

from drift.evaluation.latex import escaped, overview_latex
from drift.evaluation.score import score

HOSTILE = r"50% of $x_1^2$ & {#3} ~ \input{/etc/passwd} <b> | -- [a] * ü"
TURNS = {"reference": [1, 0, 0, 2, 0], "trained": [1, 2, 3, 1, 1], HOSTILE: [0, 0, 1, 1, 0]}


@pytest.fixture(scope="module")
def table(make_trajectories, make_problems):
    names = [
        "math-500",
        HOSTILE,
        "a_file_name_without_any_spaces_that_goes_on_and_on.jsonl",
        "[starts like an argument]",
    ]
    turns = dict.fromkeys(names, TURNS)
    domains = {"math-500": "math", names[2]: "math"}
    scores = score(make_trajectories(turns), make_problems(dict.fromkeys(names, 5), {}), 5, 100, 0, domains)
    return overview_latex(scores)


def test_every_line_has_as_many_cells_as_there_are_columns(table):
    body = table[table.index(r"\midrule") : table.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    # Four benchmarks, two averages, the label.
    assert {line.replace(r"\&", "").count("&") for line in rows} == {6}
    # Three policies with an interval each, two differences with an interval and a p each.
    assert len(rows) == 3 * 2 + 2 * 3


def test_nothing_of_a_name_is_a_command(table):
    assert r"\input" not in table.replace(r"\textbackslash{}input", "")
    assert escaped("a_b & 5%") == r"a\_b \& 5\%"
    assert escaped("two\nlines") == "two lines"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_table_compiles_and_fits_the_page(table, tmp_path):
    (tmp_path / "table.tex").write_text(table)
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}"
        r"\begin{document}\input{table.tex}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert compiled.returncode == 0, compiled.stdout
    assert "Overfull" not in compiled.stdout
