"""What all charts share: ink, grid, and a layout whose title states the finding.

Colours are Okabe and Ito's, told apart by colour-blind readers.
"""

import html
from typing import Any

INK, MUTED, GRID = "#333333", "#767676", "#E6E6E6"
BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"


def house_layout(title: str, height: int) -> dict[str, Any]:
    """Keyword arguments of a figure's `update_layout`.

    Args:
        title: the finding, in words.
        height: pixels.
    """
    return {
        "template": "plotly_white",
        "height": height,
        "font": {"size": 13, "color": INK},
        "title": {"text": title, "font": {"size": 17}, "x": 0, "xref": "paper"},
        "margin": {"t": 100, "b": 60, "l": 70, "r": 20},
    }


def as_written(name: str) -> str:
    """A name from the data as plotly shows it letter by letter; its texts are HTML, with TeX between dollars."""
    return html.escape(" ".join(name.split()), quote=False).replace("$", "&#36;")
