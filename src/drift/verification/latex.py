r"""LaTeX before it is parsed: what changes only how an answer looks is taken away.

Math-Verify reads `\boxed{5\text{ cm}}` as 5, but `\boxed{\,5\text{ cm}\,}` as a product of letters, and `115 000` as 0.
"""

import re

_MATH_MODE = re.compile(r"\$+(?P<dollars>[^$]+)\$+|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]", re.DOTALL)
_CLOSING_MATH = re.compile(
    r"(?:(?<![\\$])\$+(?P<dollars>[^$]+)\$+|\\\((?P<round>(?:(?!\\\().)+?)\\\)|\\\[(?P<square>(?:(?!\\\[).)+?)\\\])"
    r"[\s.*!]*\Z",
    re.DOTALL,
)
_SPACE = r"(?:\\[,;:!>]|\\ |\\quad\b|\\qquad\b|~|\s)"
_MARGIN = re.compile(rf"\A{_SPACE}+|{_SPACE}+\Z")
# `5,\!525`, `5{,}525`, `5\,525` and `5 525`: unlike a comma alone, these only ever group digits.
_GROUPING = re.compile(r"(?<=\d)(?:\s*,\s*\\!\s*|\{,\}|\\,|\\ |~| )(?=\d{3}(?!\d))")
_CURRENCY = re.compile(r"\\\$|[€£¥]")
_DEGREES = re.compile(r"(?:\^\s*\{?\s*\\circ\s*\}?|\\degree\b|°)(?P<comma>\s*,)?")
_ASSIGNED_NUMBER = re.compile(r"\\?[A-Za-z]+\s*=\s*(?P<number>-?[\d,]*\d(?:\.\d+)?\s*(?:\\?%)?)")
_BARE_FRACTION = re.compile(r"\\[dt]?frac\s*(\\[a-z]+)\s*(\d)")  # `\frac\pi2`
_COMMA_GROUPS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?=\D*\Z)")


def plain_latex(answer: str) -> str:
    r"""An answer without what changes only its looks.

    Taken away: `$…$` around the whole, space at the ends, separators between groups of three digits, signs of currency
    and degrees, and the `x =` before a number.

    Args:
        answer: an explicit answer.
    """
    whole = _MATH_MODE.fullmatch(answer.strip())
    text = _content(whole) if whole else answer
    text = _MARGIN.sub("", _CURRENCY.sub("", _GROUPING.sub("", text)).replace(r"\!", ""))
    if assigned := _ASSIGNED_NUMBER.fullmatch(text):
        text = assigned["number"]
    if number := _COMMA_GROUPS.match(text):
        text = number[0].replace(",", "") + text[number.end() :]
    return _BARE_FRACTION.sub(r"\\frac{\1}{\2}", _DEGREES.sub(_without_degrees, text))


def _without_degrees(sign: re.Match[str]) -> str:
    return ", " if sign["comma"] else ""  # `45°,135°` is not 45,135


def closing_mathematics(text: str) -> str | None:
    """The marked mathematics a text ends with (but for punctuation), None when it ends with anything else."""
    match = _CLOSING_MATH.search(text)
    return _content(match) if match else None


def _content(match: re.Match[str]) -> str:
    return (match["dollars"] or match["round"] or match["square"]).strip()
