"""Feeds as Atom (RFC 4287). No clock is in them: same entries, same bytes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from xml.etree import ElementTree as ET

from markupsafe import Markup

from portal.web.filters import iso

ATOM = "http://www.w3.org/2005/Atom"
XML_BASE = "{http://www.w3.org/XML/1998/namespace}base"
# What no XML document can hold, however it is written.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class AtomEntry(Protocol):
    """What an entry is made from. `tag` never changes; instants are Unix seconds."""

    @property
    def tag(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def content(self) -> Markup: ...
    @property
    def published(self) -> int: ...
    @property
    def updated(self) -> int: ...
    @property
    def categories(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, kw_only=True)
class AtomHead:
    """What a feed says of itself. `url` is the portal's, without a slash at the end."""

    url: str
    tag: str
    title: str
    subtitle: str
    updated: int
    self_path: str
    page_path: str


def atom_document(head: AtomHead, entries: Iterable[AtomEntry]) -> bytes:
    """A feed as an Atom document."""
    ET.register_namespace("", ATOM)
    root = ET.Element(f"{{{ATOM}}}feed", {XML_BASE: f"{head.url}/"})
    _add(root, "id", head.tag)
    _add(root, "title", head.title)
    _add(root, "subtitle", head.subtitle)
    _add(root, "updated", iso(head.updated))
    _add(root, "link", rel="self", type="application/atom+xml", href=head.url + head.self_path)
    _add(root, "link", rel="alternate", type="text/html", href=head.url + head.page_path)
    _add(_add(root, "author"), "name", "Plimsoll")
    for item in entries:
        entry = _add(root, "entry")
        _add(entry, "id", item.tag)
        _add(entry, "title", item.title)
        _add(entry, "published", iso(item.published))
        _add(entry, "updated", iso(item.updated))
        _add(entry, "link", rel="alternate", type="text/html", href=head.url + item.path)
        for category in item.categories:
            _add(entry, "category", term=category)
        _add(entry, "summary", item.summary)
        _add(entry, "content", str(item.content), type="html")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def tag_uri(authority: str, at: int, name: str) -> str:
    """A tag URI (RFC 4151): whoever held the authority on that day gave the name."""
    return f"tag:{authority},{iso(at)[:10]}:{name}"


def _add(
    parent: ET.Element, name: str, text: str | None = None, /, **attributes: str
) -> ET.Element:
    child = ET.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    child.text = None if text is None else _NOT_XML.sub("\ufffd", text)
    return child
