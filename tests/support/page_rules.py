"""The rules that every page keeps. Each returns a sentence per breach; an empty list is a pass."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from typing import Any

import html5lib
from bs4 import BeautifulSoup, Tag
from bs4.builder._html5lib import HTML5TreeBuilder
from werkzeug.datastructures import Headers

from tests.support.pages import words

# Keys and gateway tokens: prefix, 30 random characters, 6 of checksum (EXACT 31). And password hashes.
SECRET = re.compile(r"\bplim(?:_live|_test|gw)_[0-9A-Za-z]{36}\b|\$argon2")
TEMPLATE = re.compile(r"<template>(.*?)</template>", re.DOTALL)
# The parser needs to know where a fragment will stand.
CONTAINERS = {"tr": "tbody", "td": "tr", "th": "tr", "li": "ul", "option": "select", "dt": "dl"}


@dataclass(frozen=True)
class Answer:
    """A response with what the rules need to know about its request."""

    html: str
    soup: BeautifulSoup
    faults: list[str]  # what is wrong with its HTML
    headers: Headers
    is_htmx: bool
    was_signed_in: bool

    @cached_property
    def tags(self) -> list[Tag]:
        """All elements in one walk: selectors take one each, which made up most of a test's time."""
        return [node for node in self.soup.descendants if isinstance(node, Tag)]

    def having(self, name: str) -> Iterator[Tag]:
        """The elements with this attribute."""
        return (tag for tag in self.tags if name in tag.attrs)

    def named(self, *names: str) -> Iterator[Tag]:
        """The elements of these kinds."""
        return (tag for tag in self.tags if tag.name in names)


def breaches(answer: Answer) -> list[str]:
    """Everything that is wrong with the answer."""
    rules = FRAGMENT_RULES if answer.is_htmx else PAGE_RULES
    return [text for rule in (*RULES, *rules) for text in rule(answer)]


class _Strict(HTML5TreeBuilder):
    """Builds the tree and keeps what the parser had to mend, so that a page is read once, not twice."""

    faults: list[str]

    def feed(self, markup: Any) -> None:
        make_tree: Any = self.create_treebuilder
        parser = html5lib.HTMLParser(tree=make_tree)
        self.underlying_builder.parser = parser
        parser.parse(markup)
        self.underlying_builder.parser = None
        self.faults = list(_faults(parser))


def parse_page(html: str) -> tuple[BeautifulSoup, list[str]]:
    """A whole page, with what is not strict HTML5 in it."""
    builder = _Strict()
    soup = BeautifulSoup(html, builder=builder)
    return soup, builder.faults


def parse_fragment(html: str) -> tuple[BeautifulSoup, list[str]]:
    """A fragment, judged where its first element may stand."""
    # What goes out of band travels in a template element, which the strict parser does not know; it is
    # checked and read like the rest.
    faults: list[str] = []
    for piece in (TEMPLATE.sub("", html), *TEMPLATE.findall(html)):
        parser = html5lib.HTMLParser()
        first = re.match(r"\s*<([a-z0-9]+)", piece)
        parser.parseFragment(piece, CONTAINERS.get(first[1] if first else "", "div"))
        faults += _faults(parser)
    return BeautifulSoup(TEMPLATE.sub(r"\1", html), "html.parser"), faults


def _faults(parser: Any) -> Iterator[str]:
    for (line, column), code, details in parser.errors:
        yield f"invalid HTML at line {line}, column {column}: {code} {details or ''}".rstrip()


def valid_html(answer: Answer) -> Iterable[str]:
    return answer.faults


def unique_ids(answer: Answer) -> Iterator[str]:
    counts = Counter(str(tag["id"]) for tag in answer.having("id"))
    for name, count in counts.items():
        if count > 1:
            yield f"id {name!r} stands {count} times"


def labelled_controls(answer: Answer) -> Iterator[str]:
    silent = {"hidden", "submit", "button", "reset", "image"}
    labelled = {tag.get("for") for tag in answer.named("label") if words(tag)} - {None}
    for control in answer.named("input", "select", "textarea"):
        if control.get("type") not in silent and not _is_labelled(control, labelled):
            yield f"no label for {_start(control)}"
    for control in answer.named("button", "a"):
        is_control = control.name == "button" or control.has_attr("href")
        if is_control and not words(control) and not control.get("aria-label"):
            yield f"no words in {_start(control)}"


def _is_labelled(control: Tag, labelled: set[Any]) -> bool:
    """By itself, by a label that points to it, or by one around it."""
    if control.get("aria-label") or control.get("aria-labelledby"):
        return True
    around = control.find_parent("label")
    return control.get("id") in labelled or bool(around and words(around))


def complete_forms(answer: Answer) -> Iterator[str]:
    """Action, method, and for a POST the CSRF token."""
    for form in answer.named("form"):
        method = str(form.get("method", "")).lower()
        if not form.get("action"):
            yield f"no action on {_start(form)}"
        if method not in {"get", "post", "dialog"}:
            yield f"no method on {_start(form)}"
        tokens = form.find_all("input", {"type": "hidden", "name": "csrf_token"})
        if method == "post" and not any(token.get("value") for token in tokens):
            yield f"no CSRF token in {_start(form)}"


def honest_htmx(answer: Answer) -> Iterator[str]:
    """What htmx sends is what the plain element would send."""
    for tag in answer.having("hx-post"):
        if tag.name != "form" or tag["hx-post"] != tag.get("action"):
            yield f"hx-post differs from the form's action on {_start(tag)}"
    for tag in answer.having("hx-get"):
        if tag["hx-get"] not in {tag.get("href"), tag.get("action")}:
            yield f"hx-get differs from the plain address on {_start(tag)}"
    for tag in answer.tags:
        if {"hx-put", "hx-patch", "hx-delete"} & tag.attrs.keys():
            yield f"a method that HTML does not know on {_start(tag)}"


def nothing_inline(answer: Answer) -> Iterator[str]:
    """The content policy would block it, silently."""
    for tag in answer.named("script", "style"):
        if tag.name == "style" or not tag.has_attr("src"):
            yield f"inline {tag.name}"
    for tag in answer.tags:
        for name, value in tag.attrs.items():
            if name == "style" or name.startswith(("on", "hx-on")):
                yield f"inline {name} on {_start(tag)}"
            if name in {"href", "action"} and str(value).strip().lower().startswith("javascript:"):
                yield f"script in {name} of {_start(tag)}"


def kept_secrets(answer: Answer) -> Iterator[str]:
    """A secret stands only where the page says that it shows one, and such a page is not stored."""
    shows = "data-shows-secret" in answer.html
    # Also in attributes and comments: so the source is searched, not the text.
    source = _without_shown(answer.html) if shows else unescape(answer.html)
    if SECRET.search(source):
        yield "secret-looking text on a page that may not show it"
    if shows and "no-store" not in answer.headers.get("Cache-Control", ""):
        yield "a page that shows a secret may be stored"


def _without_shown(html: str) -> str:
    """The source without the elements that say that they show a secret."""
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.select("[data-shows-secret]"):
        tag.decompose()
    return str(soup)


def private_cache(answer: Answer) -> Iterator[str]:
    if answer.was_signed_in and "no-store" not in answer.headers.get("Cache-Control", ""):
        yield "signed in, but Cache-Control does not say no-store"


def one_heading(answer: Answer) -> Iterator[str]:
    """One h1, and the title begins with it."""
    headings = [words(tag) for tag in answer.named("h1")]
    title = words(answer.soup.title) if answer.soup.title else ""
    if len(headings) != 1:
        yield f"{len(headings)} h1: {headings}"
    elif not headings[0] or not title.startswith(headings[0]):
        yield f"title {title!r} does not begin with h1 {headings[0]!r}"


def known_references(answer: Answer) -> Iterator[str]:
    """What an element names by id is on the page."""
    ids = {str(tag["id"]) for tag in answer.having("id")}
    for attribute in ("for", "aria-describedby", "aria-labelledby", "data-copy"):
        for tag in answer.having(attribute):
            value = tag[attribute]
            named = value if isinstance(value, list) else str(value).split()
            for name in named:
                if name not in ids:
                    yield f"{attribute} names {name!r}, which is not on the page"


def is_a_page(answer: Answer) -> Iterator[str]:
    if "<html" not in answer.html.lower():
        yield "a fragment where a page was asked for"


def is_a_fragment(answer: Answer) -> Iterator[str]:
    if "<html" in answer.html.lower():
        yield "a whole page where htmx asked for a fragment"
    if "hx-request" not in answer.headers.get("Vary", "").lower():
        yield "Vary does not name HX-Request"


def _start(tag: Tag) -> str:
    """The opening of an element, for messages."""
    shown = " ".join(f'{name}="{value}"' for name, value in list(tag.attrs.items())[:4])
    return f"<{tag.name} {shown}>"


Rule = Callable[[Answer], Iterable[str]]
RULES: tuple[Rule, ...] = (
    valid_html,
    unique_ids,
    labelled_controls,
    complete_forms,
    honest_htmx,
    nothing_inline,
    kept_secrets,
    private_cache,
)
PAGE_RULES: tuple[Rule, ...] = (is_a_page, one_heading, known_references)
FRAGMENT_RULES: tuple[Rule, ...] = (is_a_fragment,)
