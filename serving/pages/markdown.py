"""Markdown of cards as HTML."""

from functools import cache, lru_cache

from markdown_it import MarkdownIt
from markupsafe import Markup


@lru_cache(maxsize=16)
def rendered(markdown: str) -> Markup:
    """Markdown as HTML without scripts, styles and images: tags are text, links lead to web addresses only."""
    return Markup(_reader().render(markdown))  # noqa: S704  (markdown-it has escaped it)


@cache
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    reader.add_render_rule("table_open", lambda *_: '<div class="wide">\n<table>\n')
    reader.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    return reader
