"""Markdown of reasons and announcements as HTML that can do no harm."""

import functools

from markdown_it import MarkdownIt
from markupsafe import Markup

# A reason stands under a page's own headings, so its highest is one of the third level.
_DEEPER = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}


@functools.cache
def _markdown() -> MarkdownIt:
    # Tags in the text stay text, addresses that run something stay text, and pictures are not
    # loaded: a reader's browser talks to nobody because somebody wrote a reason.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def render(text: str) -> Markup:
    """A Markdown text as HTML for a page."""
    markdown = _markdown()
    tokens = markdown.parse(text)
    for token in tokens:
        token.tag = _DEEPER.get(token.tag, token.tag)
        for inner in token.children or []:
            if inner.type == "link_open":
                inner.attrSet("rel", "nofollow noopener")
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 -- see above
