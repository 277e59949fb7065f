"""Markdown as Kedro-Viz shows it."""

from kedro_datasets._typing import HTMLPreview


def as_html(markdown: str) -> HTMLPreview:
    """The text as HTML, without its front matter; HTML in the text itself is shown, not obeyed."""
    from markdown_it import MarkdownIt

    body = markdown.split("\n---\n", 1)[-1] if markdown.startswith("---\n") else markdown
    return HTMLPreview(MarkdownIt("commonmark", {"html": False}).enable("table").render(body))
