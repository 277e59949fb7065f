"""Mathematics in a text: found by its delimiters, turned from LaTeX into MathML, and kept as plain nested lists.

The conversion is latex2mathml's. What comes of it is data a model has chosen, so only elements and attributes of the
lists below are kept, and a formula that has anything else about it is shown as it was written.
"""

import re
from html import unescape
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

Part = str | int
"""A stretch of plain text, or the index of a formula."""
Tree = list[Any]
"""An element: its name, its attributes if it has any, its children (trees, or one text)."""

ELEMENTS = re.compile(
    "m(ath|enclose|frac|i|multiscripts|n|o|over|padded|phantom|prescripts|root|row|space|sqrt|style|sub|subsup|sup|table|"
    "td|text|tr|under|underover)"
)
"""What an element may be."""
_NUM_CHILDREN = {
    **dict.fromkeys(["mfrac", "mover", "mroot", "msub", "msup", "munder"], 2),
    **dict.fromkeys(["msubsup", "munderover"], 3),
}
_LENGTH = r"-?\d{0,2}(\.\d{1,4})?(em|ex|mu|pt|px)?"
_WORDS = r"[a-z -]{1,40}"
ATTRIBUTES = {
    **dict.fromkeys(["accent", "display", "displaystyle", "fence", "form", "largeop", "movablelimits"], _WORDS),
    **dict.fromkeys(["columnalign", "mathvariant", "notation", "stretchy", "symmetric"], _WORDS),
    **dict.fromkeys(["depth", "height", "linethickness", "lspace", "maxsize", "minsize", "rspace", "width"], _LENGTH),
    "scriptlevel": r"[+-]?\d",
}
"""Name of an attribute and what its value may look like; lengths have at most two digits."""

# Longer texts and formulas are no mathematics, and would take long to look through.
MAX_TEXT_CHARACTERS = 50_000
MAX_FORMULA_CHARACTERS = 2_000
_MAX_BOX_CHARACTERS = 500
_MAX_ELEMENTS = 1_500
_MAX_DEPTH = 60

# What may open a formula; an escaped backslash or dollar sign opens none.
_OPENING = re.compile(r"\\\\|\\\$|\$\$|\$|\\\[|\\\(|\\boxed\{|\\begin\{(?P<environment>(?:align|equation|gather)\*?)\}")
_CLOSING = {"$$": "$$", "$": "$", "\\[": "\\]", "\\(": "\\)"}
_UNLIKE_PROSE = re.compile(r"[\\^_=]")
# A model that defines macros can make a short formula grow without bound.
_DEFINITION = re.compile(r"\\(def|gdef|edef|let|newcommand|renewcommand|providecommand)\b")


class Formulas:
    """The formulas of some texts, each kept once."""

    def __init__(self) -> None:
        self.table: list[tuple[str, Tree]] = []
        self._index: dict[str, int | None] = {}

    def parts(self, text: str) -> str | list[Part]:
        """The text in parts, in order; put together, strings and sources of formulas are the text again.

        A text without mathematics is returned as it is.
        """
        if len(text) > MAX_TEXT_CHARACTERS or not ("$" in text or "\\" in text):
            return text
        parts: list[Part] = []
        end = position = 0
        while found := _OPENING.search(text, position):
            position = found.end()
            close = _closing(text, found)
            if close is None:
                continue
            formula = self._formula(text[found.start() : close], found)
            if formula is not None:
                if found.start() > end:
                    parts.append(text[end : found.start()])
                parts.append(formula)
                end = close
            position = close
        if not parts:
            return text
        return [*parts, text[end:]] if end < len(text) else parts

    def bare(self, latex: str) -> str | list[Part]:
        """An answer: a formula without delimiters where it looks like one, else the text."""
        if not re.search(r"[\\^_]", latex):
            return latex
        formula = self._add(latex, latex, "inline")
        return self.parts(latex) if formula is None else [formula]

    def _formula(self, source: str, found: re.Match[str]) -> int | None:
        opening = found.group()
        if found["environment"] or opening == "\\boxed{":
            return self._add(source, source, "block" if found["environment"] else "inline")
        latex = source[len(opening) : -len(_CLOSING[opening])]
        return self._add(source, latex, "block" if opening in ("$$", "\\[") else "inline")

    def _add(self, source: str, latex: str, display: str) -> int | None:
        """The index of a formula, None for what cannot be shown as one."""
        if source not in self._index:
            tree = to_tree(latex, display)
            self._index[source] = None if tree is None else len(self.table)
            if tree is not None:
                self.table.append((source, tree))
        return self._index[source]


def _closing(text: str, found: re.Match[str]) -> int | None:
    """Where the formula ends that begins at `found`, None if it begins none."""
    opening, start = found.group(), found.end()
    if opening == "\\boxed{":
        return _closing_brace(text, start)
    closing = f"\\end{{{found['environment']}}}" if found["environment"] else _CLOSING.get(opening)
    if closing is None:
        return None
    close = text.find(closing, start, start + MAX_FORMULA_CHARACTERS)
    while opening == "$" and close > 0 and text[close - 1] == "\\":
        close = text.find(closing, close + 1, start + MAX_FORMULA_CHARACTERS)
    if close <= start or not text[start:close].strip():
        return None
    after = close + len(closing)
    latex = text[start:close]
    # Prices: `$5 and $10`, `$5-$10`; and paragraphs never end inside a formula.
    loose = latex != latex.strip() and not _UNLIKE_PROSE.search(latex)
    if opening == "$" and (loose or text[after : after + 1].isdigit()):
        return None
    return None if "\n\n" in latex else after


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for position in range(start, min(len(text), start + _MAX_BOX_CHARACTERS)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1 if position > start else None
    return None


def to_tree(latex: str, display: str) -> Tree | None:
    """LaTeX as a tree of MathML, None where it is faulty, too large, or holds what is not on the lists.

    Args:
        latex: without delimiters.
        display: `inline` or `block`.
    """
    from latex2mathml.converter import convert_to_element

    if len(latex) > MAX_FORMULA_CHARACTERS or _DEFINITION.search(latex) or not _is_balanced(latex):
        return None
    try:
        element = convert_to_element(latex, display=display)
    except Exception:  # its errors share no class, and a fault in a model's LaTeX may raise any of them
        return None
    if sum(1 for _ in element.iter()) > _MAX_ELEMENTS:
        return None
    return _tree(element, 0)


def _is_balanced(latex: str) -> bool:
    """Whether every brace has its other one; latex2mathml leaves out what it finds no end of."""
    depth = 0
    for brace in re.findall(r"\\.|[{}]", latex, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


def _tree(element: Element, depth: int) -> Tree | None:
    text = unescape(element.text or "")
    # An unknown command comes back as an identifier with its backslash.
    if not ELEMENTS.fullmatch(element.tag) or depth > _MAX_DEPTH or (element.tag == "mi" and text.startswith("\\")):
        return None
    children = [_tree(child, depth + 1) for child in element]
    if None in children or len(children) != _NUM_CHILDREN.get(element.tag, len(children)):
        return None
    attributes = {
        name: value
        for name, value in element.attrib.items()
        if name in ATTRIBUTES and re.fullmatch(ATTRIBUTES[name], value)
    }
    if element.tag == "mrow":
        _mark_signs(children)
        if len(children) == 1 and not attributes and children[0] is not None:
            return children[0]
    return [element.tag, *([attributes] if attributes else []), *([text] if text else []), *children]


def _mark_signs(row: list[Tree | None]) -> None:
    """Tells the signs of numbers from sums: after another operator, `-` belongs to what follows, without a space."""
    for before, sign in pairwise(row):
        after_operator = before is not None and before[0] == "mo" and before[-1] not in (")", "]", "}", "|", "!")
        if after_operator and sign and sign in (["mo", "\u2212"], ["mo", "-"], ["mo", "+"]):
            sign.insert(1, {"form": "prefix"})
