"""Markdown as Kedro-Viz shows it."""

import re

from kedro_datasets._typing import HTMLPreview

# Kedro-Viz 12.5 reads the HTML of a preview as Markdown once more, code included: `do_sample` and `max_new_tokens` on
# one line would lose their underscores. Its patterns end at a line separator, also at one inside an attribute.
_GUARD = '<span class="a\u2028b"></span>'


def as_html(markdown: str) -> HTMLPreview:
    """The text as HTML, without its front matter; HTML in the text itself is shown, not obeyed."""
    from markdown_it import MarkdownIt

    body = markdown.split("\n---\n", 1)[-1] if markdown.startswith("---\n") else markdown
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("softbreak", lambda *_: " ")
    html = reader.render(body)
    html = re.sub(r">\n+<", "><", html)  # every line break would become a gap
    return HTMLPreview(re.sub(r">[^<]+", lambda text: re.sub(r"([_*])", rf"\1{_GUARD}", text[0]), html))
