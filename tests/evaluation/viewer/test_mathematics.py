import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.evaluation.viewer.mathematics import ATTRIBUTES, ELEMENTS, Formulas, to_tree

PIECES = (
    r"$ $$ \[ \] \( \) \boxed{ } { \frac \sqrt ^ _ x 1 \ \$ \\ \left( \right) \text{ & <img> \href{javascript:x}{y}"
)
LATEX = st.lists(st.sampled_from([*PIECES.split(), " ", "\n\n", "\\begin{align}", "\\end{align}", "\x00"])).map("".join)


def sources(text):
    formulas = Formulas()
    parts = formulas.parts(text)
    return [] if isinstance(parts, str) else [formulas.table[part][0] for part in parts if isinstance(part, int)]


def elements(tree):
    """(name, attributes) of a tree and all within it."""
    attributes = next((part for part in tree[1:] if isinstance(part, dict)), {})
    yield tree[0], attributes
    for child in tree[1:]:
        if isinstance(child, list):
            yield from elements(child)


@given(LATEX)
def test_parts_put_together_are_the_text(text):
    formulas = Formulas()
    parts = formulas.parts(text)
    if not isinstance(parts, str):
        assert "".join(formulas.table[part][0] if isinstance(part, int) else part for part in parts) == text


@given(LATEX)
def test_only_elements_and_attributes_of_the_lists_come_through(text):
    tree = to_tree(text, "inline")
    for name, attributes in [] if tree is None else elements(tree):
        assert ELEMENTS.fullmatch(name)
        assert all(re.fullmatch(ATTRIBUTES[attribute], value) for attribute, value in attributes.items())


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("If $x$ is 2, then $$x^2$$ is \\(4\\) and \\[x^3\\] is 8.", ["$x$", "$$x^2$$", "\\(4\\)", "\\[x^3\\]"]),
        ("So \\boxed{\\frac{1}{2}} it is.", ["\\boxed{\\frac{1}{2}}"]),
        ("\\begin{align*}x &= 1\\\\ y &= 2\\end{align*}", ["\\begin{align*}x &= 1\\\\ y &= 2\\end{align*}"]),
        ("The cost is $ 130\\cdot 20=26$ cents.", ["$ 130\\cdot 20=26$"]),
        ("It costs $5 and $10.", []),
        ("Between $5-$10, or \\$3 and \\$4.", []),
        ("One $ here\n\nand another $ there_", []),
        ("Write \\boxed{} or $$ or $x", []),
    ],
)
def test_formulas_are_found_by_their_delimiters_and_prices_are_not(text, formulas):
    assert sources(text) == formulas


@pytest.mark.parametrize(
    "latex",
    [
        "\\frac{1}",
        "\\left( x",
        "\\unknown{x}",
        "\\html{<b>}",
        "\\frac{1}{" * 500 + "}" * 500,
        "\\def\\a{\\b\\b}\\def\\b{xx}\\a",
        "x" * 3000,
        "\\begin{matrix}" * 300,
    ],
)
def test_faulty_and_outsized_formulas_stay_text(latex):
    assert to_tree(latex, "inline") is None
    assert sources(f"So ${latex}$.") == []


def test_links_styles_and_colours_of_a_model_are_left_behind():
    for latex in ("\\href{javascript:alert(1)}{x}", "\\style{color:red}{x}", "\\class{a}{x}", "\\color{red}{x}"):
        tree = to_tree(latex, "inline")
        assert tree is not None
        assert all(set(attributes) <= {"display"} for _, attributes in elements(tree))
    assert ("mspace", {}) in list(elements(to_tree("\\hspace{1000em}x", "inline")))


def test_a_sign_is_told_from_a_difference():
    signs = [attributes for name, attributes in elements(to_tree("x = -3 - 2", "inline")) if name == "mo"]
    assert signs == [{}, {"form": "prefix"}, {}]


@pytest.mark.parametrize("text", ["$" * 50_000, "\\[" * 25_000, "\\boxed{" * 7_000, "$x_{" * 12_000, "$$x" * 16_000])
@pytest.mark.timeout(60)  # milliseconds where time grows with the length, minutes where it grows with its square
def test_hostile_texts_take_no_time(text):
    Formulas().parts(text)


def test_every_formula_of_real_solutions_is_shown(shared_data):
    for line in (shared_data / "math_test.jsonl").read_text().splitlines()[:300]:
        parts = Formulas().parts(json.loads(line)["solution"])
        left = parts if isinstance(parts, str) else "".join(part for part in parts if isinstance(part, str))
        assert not re.search(r"(?<!\\)\$", left)
