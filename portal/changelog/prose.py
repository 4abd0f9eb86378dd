"""Markdown of reasons, announcements and posts as HTML that can do no harm."""

import functools

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

# A reason stands under a page's own headings, so its highest is one of the third level.
_DEEPER = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
_BLOCKS = {"p", "br", "hr", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre"}
_TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
_TAGS = _BLOCKS | _TABLES | {"a", "code", "em", "strong"}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}


@functools.cache
def _markdown() -> MarkdownIt:
    # Tags in the text stay text, and pictures are not loaded: a reader's browser talks to nobody
    # because somebody wrote a reason.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def render(text: str) -> Markup:
    """A Markdown text as HTML for a page."""
    markdown = _markdown()
    tokens = markdown.parse(text)
    for token in tokens:
        token.tag = _DEEPER.get(token.tag, token.tag)
    html = markdown.renderer.render(tokens, markdown.options, {})
    # The second wall: whatever the first lets through, nothing else reaches a page.
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener",
    )
    return Markup(clean)  # noqa: S704 -- cleaned above


def depth(text: str) -> int:
    """How many blocks stand inside each other; from about 20 on the reader of Markdown leaves out the rest."""
    return max((token.level for token in _markdown().parse(text)), default=0)
