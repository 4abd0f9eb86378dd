"""The body of a `change.announced` entry: written by the portal, read strictly by everyone.

EXACT.md 14. Lists of objects are sorted by their canonical text (EXACT.md 8), so that one change
has one text.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from plimsoll.contract import canonical
from plimsoll.contract.acts import require_sha256
from plimsoll.contract.limits import (
    Cell,
    InvalidField,
    Kind,
    Limit,
    instant_or_none,
    parse_cell,
    parse_values,
    require_choice,
    require_fields,
    require_instant,
    require_whole,
)
from plimsoll.contract.terms import (
    TITLE_LENGTH_MAX,
    Model,
    Offer,
    Tier,
    check_cells,
    check_distinct,
    parse_counting,
    require_list,
    require_text,
)

_Parsed = TypeVar("_Parsed")

_CHANGE_ID = re.compile(r"chg_[0-9a-hjkmnp-tv-z]{26}")
_FIELDS = frozenset(
    {
        "change",
        "id",
        "class",
        "title",
        "reason_sha256",
        "effective_at",
        "expires_at",
        "models",
        "tiers",
        "offers",
        "counting",
        "rows",
    }
)
_ROW_FIELDS = frozenset({"tier", "model", "metric", "kind", "period", "from", "to"})
_VALUE_FIELDS = frozenset({"quota", "burst"})


class ChangeClass(StrEnum):
    """What a change may do to limits and for how long (LIMITS.md section 2)."""

    LASTING = "lasting"
    TEMPORARY_RAISE = "temporary_raise"
    EMERGENCY_CUT = "emergency_cut"


class Row(NamedTuple):
    """One cell before and after; None = no limit."""

    cell: Cell
    before: Limit | None
    after: Limit | None

    @classmethod
    def parse(cls, value: object, path: str) -> "Row":
        """The row at `path` of an entry.

        Raises:
            InvalidField: a field is unknown, missing or wrong, or nothing changes.
        """
        fields = require_fields(value, path, required=_ROW_FIELDS)
        cell = parse_cell(fields, path)
        before = _values(fields["from"], f"{path}.from", cell)
        after = _values(fields["to"], f"{path}.to", cell)
        if before == after:
            raise InvalidField(path, "changes nothing")
        return cls(cell, before, after)

    def to_wire(self) -> dict[str, Any]:
        """The fields as they stand in the log."""
        return {
            **self.cell.to_wire(),
            "from": None if self.before is None else self.before.values(),
            "to": None if self.after is None else self.after.values(),
        }


@dataclass(frozen=True)
class Announcement:
    """A published change. Instants are Unix seconds; `change` is its number."""

    change: int
    id: str
    change_class: ChangeClass
    title: str
    reason_sha256: str
    effective_at: int
    expires_at: int | None
    models: tuple[Model, ...]
    tiers: tuple[Tier, ...]
    offers: tuple[Offer, ...]
    counting: Mapping[str, Any]
    rows: tuple[Row, ...]

    @classmethod
    def parse(cls, body: object) -> "Announcement":
        """The change in the body of an entry.

        Raises:
            InvalidField: the body has another form than the one `to_wire` writes.
        """
        fields = require_fields(body, "", required=_FIELDS)
        parsed = _parse(cls, fields)
        # What any parser mends (spaces, NFC, order) is no canonical change, and has another hash.
        written = parsed.to_wire()
        for name in sorted(_FIELDS):
            if written[name] != fields[name]:
                raise InvalidField(name, "is not in its canonical form")
        return parsed

    def to_wire(self) -> dict[str, Any]:
        """The body of the entry."""
        return {
            "change": self.change,
            "id": self.id,
            "class": self.change_class.value,
            "title": self.title,
            "reason_sha256": self.reason_sha256,
            "effective_at": self.effective_at,
            "expires_at": self.expires_at,
            "models": _sorted_wire(self.models),
            "tiers": _sorted_wire(self.tiers),
            "offers": _sorted_wire(self.offers),
            "counting": self.counting,
            "rows": _sorted_wire(self.rows),
        }


def hash_reason(markdown: str) -> str:
    """`reason_sha256`: hex SHA-256 over the UTF-8 Markdown with LF line ends (EXACT.md 16)."""
    lines = markdown.replace("\r\n", "\n").replace("\r", "\n")
    return hashlib.sha256(lines.encode()).hexdigest()


def _parse(cls: type[Announcement], fields: Mapping[str, Any]) -> Announcement:
    classes = [each.value for each in ChangeClass]
    announcement = cls(
        change=require_whole(fields["change"], "change", least=1),
        id=_matching(fields["id"], "id", _CHANGE_ID),
        change_class=ChangeClass(require_choice(fields["class"], "class", classes)),
        title=require_text(fields["title"], "title", longest=TITLE_LENGTH_MAX),
        reason_sha256=require_sha256(fields["reason_sha256"], "reason_sha256"),
        effective_at=require_instant(fields["effective_at"], "effective_at"),
        expires_at=instant_or_none(fields["expires_at"], "expires_at"),
        models=_parse_list(fields["models"], "models", Model.parse),
        tiers=_parse_list(fields["tiers"], "tiers", Tier.parse),
        offers=_parse_list(fields["offers"], "offers", Offer.parse),
        counting=parse_counting(fields["counting"], "counting"),
        rows=_parse_list(fields["rows"], "rows", Row.parse),
    )
    _check(announcement)
    return announcement


def _check(announcement: Announcement) -> None:
    lasting = announcement.change_class is ChangeClass.LASTING
    if lasting != (announcement.expires_at is None):
        raise InvalidField("expires_at", "belongs to temporary and emergency changes only")
    check_distinct([model.slug for model in announcement.models], "models", ".slug")
    check_distinct([tier.slug for tier in announcement.tiers], "tiers", ".slug")
    check_distinct([(offer.tier, offer.model) for offer in announcement.offers], "offers")
    check_cells([row.cell for row in announcement.rows])


def _values(value: object, path: str, cell: Cell) -> Limit | None:
    if value is None:
        return None
    fields = require_fields(value, path, required=_VALUE_FIELDS)
    if cell.kind is Kind.BUCKET and fields["burst"] is None:
        raise InvalidField(f"{path}.burst", "is missing")
    return parse_values(fields, path, cell)


def _parse_list(
    value: object, path: str, parse: Callable[[object, str], _Parsed]
) -> tuple[_Parsed, ...]:
    members = require_list(value, path)
    return tuple(parse(member, f"{path}[{index}]") for index, member in enumerate(members))


def _sorted_wire(values: Iterable[Model | Tier | Offer | Row]) -> list[dict[str, Any]]:
    return sorted((value.to_wire() for value in values), key=canonical.encode)


def _matching(value: object, path: str, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise InvalidField(path, "has another form")
    return value
