"""One HTML file: the shell, the style and the script of this directory, and the data."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from drift.evaluation.viewer.content import Content

SCRIPTS = ("data.js", "text.js", "filters.js", "list.js", "conversation.js", "main.js")
"""One script when put together, in this order."""

_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def page(content: Content, scripts: Sequence[str] | None = None) -> str:
    """The page.

    Its Content-Security-Policy allows the one script and the one style that are in it, by their digests, and nothing
    else: no other script, no image, no request, no form, and no text that is parsed as HTML.
    """
    style = asset("viewer.css")
    script = '"use strict";\n' + "\n".join(scripts or [asset(name) for name in SCRIPTS])
    policy = [
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    chunks = (_data(f"chunk-{number}", chunk) for number, chunk in enumerate(content.chunks))
    return Template(asset("viewer.html")).substitute(
        policy="; ".join(policy),
        title=html.escape(content.index["title"]),
        style=style,
        data="\n".join([_data("index", content.index), *chunks]),
        script=script,
    )


def asset(name: str) -> str:
    """A file of the page's sources."""
    return files("drift.evaluation.viewer").joinpath("assets", name).read_text(encoding="utf-8")


def _data(name: str, value: Any) -> str:  # noqa: ANN401
    """A value as JSON that no browser takes for anything else, whatever text is in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f'<script type="application/json" id="{name}">{text.translate(_ESCAPES)}</script>'


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
