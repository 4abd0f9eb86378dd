"""Rules about templates that the page-checking client cannot see, since they are about the source."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from tests.architecture.source import sources
from tests.support.worlds import TOP

TEMPLATE_LINES_MAX = 120
MACRO_LINES_MAX = 40
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
TAG = re.compile(r"<(?P<name>[a-z][a-z0-9]*)\b(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
IMPORT = re.compile(r"\{%-?\s*from\s+\"[^\"]+\"\s+import\s+(?P<names>[^%]+?)\s*-?%\}")
MACRO = re.compile(r"\{%-?\s*macro\b.*?\{%-?\s*endmacro\s*-?%\}", re.DOTALL)
NAMED = re.compile(r"\"([a-z_{}]+(?:/[a-z_{}]+)*\.html)\"")


class Template(NamedTuple):
    name: str
    text: str

    @property
    def is_fragment(self) -> bool:
        return self.name.rpartition("/")[2].startswith("_")

    @property
    def tags(self) -> Iterable[tuple[str, dict[str, str]]]:
        """Each tag's name and attributes; expressions inside are kept as they are written."""
        text = COMMENT.sub("", self.text)
        # Quotes inside an expression would end the attribute that it stands in.
        text = re.sub(r"\{\{.*?\}\}", lambda found: found[0].replace('"', "'"), text)
        for tag in TAG.finditer(text):
            pairs = re.findall(r"([\w:-]+)=\"([^\"]*)\"", tag["attributes"])
            bare = re.sub(r"\"[^\"]*\"", "", tag["attributes"])
            yield tag["name"], dict.fromkeys(re.findall(r"[\w:-]+", bare), "") | dict(pairs)


def templates() -> list[Template]:
    folder = TOP / "templates"
    paths = sorted(folder.rglob("*.html"))
    return [Template(str(path.relative_to(folder)), path.read_text("utf-8")) for path in paths]


def inline_code(template: Template) -> Iterable[str]:
    """The content policy forbids all of it, so it would be dead besides."""
    for name, attributes in template.tags:
        if name == "style" or (name == "script" and "src" not in attributes):
            yield f"<{name}> in the page"
        for attribute, value in attributes.items():
            if attribute == "style" or re.fullmatch(r"on[a-z]+|hx-on.*", attribute):
                yield f"attribute {attribute}"
            if value.strip().lower().startswith("javascript:"):
                yield f"{attribute} runs a script"


def dead_without_htmx(template: Template) -> Iterable[str]:
    """What htmx sends, the browser sends too: same address, GET or POST."""
    for name, attributes in template.tags:
        if "hx-post" in attributes and attributes["hx-post"] != attributes.get("action"):
            yield f"<{name}> has hx-post, but not the same action"
        if name == "a" and "hx-get" in attributes and attributes["hx-get"] != attributes["href"]:
            yield "<a> has hx-get, but not the same href"
        for attribute in {"hx-delete", "hx-put", "hx-patch", "hx-boost"} & set(attributes):
            yield f"attribute {attribute}"


def inherited(template: Template) -> Iterable[str]:
    """Each element that asks says itself where the answer goes, and how."""
    for name, attributes in template.tags:
        if {"hx-get", "hx-post"} & set(attributes):
            for missing in {"hx-target", "hx-swap"} - set(attributes):
                yield f"<{name}> asks by htmx without {missing}"


def unused_imports(template: Template) -> Iterable[str]:
    for found in IMPORT.finditer(template.text):
        rest = template.text.replace(found[0], "")
        for name in re.split(r"\s*,\s*", found["names"].removesuffix("with context")):
            known = name.rpartition(" as ")[2].strip()
            if not re.search(rf"\b{known}\b", rest):
                yield f"imports {known} and does not use it"


def too_long(template: Template) -> Iterable[str]:
    if template.text.count("\n") > TEMPLATE_LINES_MAX:
        yield f"has more than {TEMPLATE_LINES_MAX} lines"
    for macro in MACRO.findall(template.text):
        if macro.count("\n") > MACRO_LINES_MAX:
            yield f"has a macro of more than {MACRO_LINES_MAX} lines"


def whole_or_part(template: Template) -> Iterable[str]:
    """A page extends a layout; a part is named with an underscore, and extends nothing."""
    if template.name == "base.html" or template.name.startswith("components/"):
        return
    extends = "{% extends" in template.text
    if extends is template.is_fragment:
        yield "is a page by its name and a part by its text, or the other way round"


Rule = Callable[[Template], Iterable[str]]
BAD: dict[Rule, str] = {
    inline_code: '<a href="/" onclick="go()">Go</a>',
    dead_without_htmx: '<form method="post" action="/a" hx-post="/b"></form>',
    inherited: '<form method="post" action="/a" hx-post="/a" hx-target="#a"></form>',
    unused_imports: '{% from "components/pills.html" import pill, other %}{{ pill() }}',
    too_long: "<p></p>\n" * 121,
    whole_or_part: '{% extends "base.html" %}',
}


@pytest.mark.parametrize("rule", BAD, ids=lambda rule: rule.__name__)
def test_our_templates_keep_the_rule(rule: Rule):
    found = [f"{each.name} {line}" for each in templates() for line in rule(each)]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", BAD, ids=lambda rule: rule.__name__)
def test_the_rule_fires(rule: Rule):
    assert list(rule(Template("keys/_bad.html", BAD[rule])))


def test_what_views_give_to_htmx_is_a_part():
    given = [
        name
        for source in sources("portal")
        for name in re.findall(r"fragment=f?\"([^\"]+)\"", source.text)
    ]

    assert given
    assert all(name.rpartition("/")[2].startswith("_") for name in given), given


def test_every_template_is_used_and_every_name_exists():
    texts = [source.text for source in sources("portal")] + [each.text for each in templates()]
    used = {name for text in texts for name in NAMED.findall(text)}
    there = {each.name for each in templates()}
    # A name that is put together, such as "admin/{act}.html", uses all that it can be.
    open_names = {name for name in used if "{" in name}
    patterns = [re.compile(re.sub(r"\{\w+\}", "[a-z]+", name)) for name in open_names]
    opened = {name for name in there for pattern in patterns if pattern.fullmatch(name)}

    assert used - open_names - there == set(), "named, but not there"
    assert there - used - opened == set(), "there, but not used"
