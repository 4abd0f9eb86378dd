"""What a test sees of a page: title, words, tables and forms, as a reader would name them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup, Tag

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from tests.support.visit import Visit

Value = str | int | bool | list[str] | None


def words(tag: Tag) -> str:
    """The text of an element with white space as a reader sees it."""
    return " ".join(tag.get_text().split())


@dataclass(frozen=True)
class Table:
    columns: list[str]
    rows: list[dict[str, str]]

    def row(self, heading: str) -> dict[str, str]:
        """The row whose first cell begins with `heading`."""
        for row in self.rows:
            if next(iter(row.values()), "").startswith(heading):
                return row
        names = [next(iter(row.values()), "") for row in self.rows]
        raise AssertionError(f"no row {heading!r}, only {names}")


@dataclass
class Form:
    """A form as it stands on the page. `fill` and `submit` do what a person does."""

    tag: Tag
    visit: "Visit"
    values: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for control in self.tag.select("input[name], select[name], textarea[name]"):
            self.values.setdefault(str(control["name"]), []).extend(_initial(control))

    @property
    def action(self) -> str:
        return str(self.tag["action"])

    @property
    def names(self) -> list[str]:
        """The fields a person fills in."""
        hidden = {str(tag["name"]) for tag in self.tag.select("input[type=hidden][name]")}
        return [name for name in self.values if name not in hidden]

    def fill(self, values: Mapping[str, Value] | None = None, /, **more: Value) -> "Form":
        """Set fields by name: text, True or False for a box, a list for several, None for empty."""
        for name, value in {**(values or {}), **more}.items():
            if name not in self.values:
                raise AssertionError(f"the form has no field {name!r}, only {self.names}")
            self.values[name] = self._given(name, value)
        return self

    def submit(
        self, *, htmx: bool = False, status: int = 200, redirect: str | None = None
    ) -> "Page":
        """Send it, plain or as htmx would. `redirect` announces the address that follows."""
        attribute = "hx-post" if htmx and "hx-post" in self.tag.attrs else "action"
        data = {name: values for name, values in self.values.items() if values}
        return self.visit.send(
            str(self.tag.get("method", "get")).upper(),
            str(self.tag[attribute]),
            data=data,
            htmx=htmx,
            status=status,
            redirect=redirect,
        )

    def _given(self, name: str, value: Value) -> list[str]:
        if isinstance(value, bool):
            box = self.tag.select_one(f'input[name="{name}"]')
            return [str(box.get("value", "on"))] if value and box else []
        if isinstance(value, list):
            return value
        return ["" if value is None else str(value)]


def _initial(control: Tag) -> list[str]:
    if control.name == "textarea":
        return [control.get_text()]
    if control.name == "select":
        options = control.select("option")
        chosen = [option for option in options if "selected" in option.attrs]
        if not chosen and "multiple" not in control.attrs:
            chosen = options[:1]
        return [str(option.get("value", option.get_text())) for option in chosen]
    kind = str(control.get("type", "text"))
    if kind in {"checkbox", "radio"}:
        return [str(control.get("value", "on"))] if "checked" in control.attrs else []
    return [] if kind in {"submit", "button", "file"} else [str(control.get("value", ""))]


@dataclass(frozen=True)
class Page:
    """A page or a fragment that has passed the rules of `page_rules`."""

    html: str
    status: int
    url: str
    headers: "Headers"
    soup: BeautifulSoup
    visit: "Visit"

    @property
    def is_fragment(self) -> bool:
        return self.soup.html is None

    @property
    def title(self) -> str:
        return words(self.one("title"))

    @property
    def h1(self) -> str:
        return words(self.one("h1"))

    @property
    def main(self) -> Tag:
        """The content without navigation; of a fragment, all of it."""
        return self.soup.main or self.soup

    @property
    def text(self) -> str:
        return words(self.main)

    @property
    def flash(self) -> str:
        """What the live region says; in a fragment, what goes there out of band."""
        regions = self.soup.select('[hx-swap-oob$="#flash"]' if self.is_fragment else "#flash")
        return " ".join(words(region) for region in regions)

    @property
    def errors(self) -> dict[str, str]:
        """The messages beside the fields, by field name."""
        found: dict[str, str] = {}
        for message in self.soup.select(".field-error[id$=-error]"):
            control = str(message["id"]).removesuffix("-error")
            tag = self.soup.select_one(f'[id="{control}"][name]')
            found[str(tag["name"]) if tag else control] = words(message)
        return found

    @property
    def facts(self) -> dict[str, str]:
        """All definition lists of the page: term to text."""
        pairs = {}
        for term in self.main.select("dt"):
            value = term.find_next_sibling("dd")
            pairs[words(term)] = words(value) if isinstance(value, Tag) else ""
        return pairs

    def one(self, css: str) -> Tag:
        """The only element that the selector finds."""
        found = self.soup.select(css)
        assert len(found) == 1, f"{len(found)} elements match {css!r} on {self.url}"
        return found[0]

    def all(self, css: str) -> list[str]:
        """The words of each element that the selector finds."""
        return [words(tag) for tag in self.soup.select(css)]

    def link(self, text: str) -> str:
        """The address behind a link, by its words."""
        links = {words(tag): str(tag["href"]) for tag in self.soup.select("a[href]")}
        assert text in links, f"no link {text!r} on {self.url}, only {sorted(links)}"
        return links[text]

    def table(self, name: str) -> Table:
        """The table with this caption."""
        captions = {}
        for tag in self.soup.select("table"):
            captions[words(tag.caption) if tag.caption else ""] = tag
        assert name in captions, f"no table {name!r} on {self.url}, only {sorted(captions)}"
        return _table(captions[name])

    def form(self, name: str | None = None) -> Form:
        """A form by its name, id, label or button; without a name, the only one of the content."""
        forms = self.main.select("form") if name is None else self.soup.select("form")
        found = [tag for tag in forms if name is None or name in _names(tag)]
        known = [sorted(_names(tag)) for tag in forms]
        assert len(found) == 1, f"{len(found)} forms {name!r} on {self.url}; here are {known}"
        return Form(found[0], self.visit)


def _table(tag: Tag) -> Table:
    columns = [words(cell) for cell in tag.select("thead th")]
    rows: list[dict[str, str]] = []
    for row in tag.select("tbody tr"):
        cells = [words(cell) for cell in row.find_all(["th", "td"])]
        assert len(cells) == len(columns), f"{len(cells)} cells under {len(columns)} columns"
        rows.append(dict(zip(columns, cells, strict=True)))
    return Table(columns, rows)


def _names(form: Tag) -> set[str]:
    given: list[Any] = [form.get(name) for name in ("name", "id", "aria-label")]
    buttons = [words(button) for button in form.select("button")]
    return {str(name) for name in given + buttons if name}
