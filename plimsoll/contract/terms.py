"""Models, tiers, offers and counting rules: what a change publishes besides limits.

They have one form in a catalogue and in the log (`catalog/README.md`, EXACT.md 13 and 14); each
parser raises `InvalidField` with the path of the offending field.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plimsoll.contract.limits import (
    ALL_MODELS,
    METRICS,
    Cell,
    Counted,
    InvalidField,
    is_slug,
    require_choice,
    require_fields,
    require_whole,
)

NAME_LENGTH_MAX = 80
TITLE_LENGTH_MAX = 200
PROSE_LENGTH_MAX = 20_000

# How an organisation enters a tier.
ENTRIES = ["automatic", "request", "contact"]

# What a tier may require, and whether the value is a yes or no or a number to reach.
REQUIREMENTS: Mapping[str, type] = {
    "email_confirmed": bool,
    "second_factor": bool,
    "account_age_days": int,
    "active_days": int,
    "paid_microusd": int,
}

_MODEL_FIELDS = frozenset({"slug", "name"})
_TIER_FIELDS = frozenset(
    {"slug", "name", "rank", "entry", "description", "requirements", "keys_max"}
)
_OFFER_REQUIRED = frozenset({"tier", "model"})
_OFFER_OPTIONAL = frozenset({"offered", "replacement"})
_COUNTING_FIELDS = frozenset({"reserve", "texts"})


class Model(NamedTuple):
    """A model that limits and offers may name."""

    slug: str
    name: str

    @classmethod
    def parse(cls, value: object, path: str) -> "Model":
        """The model at `path`."""
        fields = require_fields(value, path, required=_MODEL_FIELDS)
        return cls(_slug(fields["slug"], f"{path}.slug"), _name(fields["name"], f"{path}.name"))

    def to_wire(self) -> dict[str, Any]:
        """The fields as they stand in the log."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Tier:
    """A named level of access. `keys_max`: most live keys of an organisation, None = no maximum."""

    slug: str
    name: str
    rank: int
    entry: str
    description: str
    requirements: dict[str, int | bool]
    keys_max: int | None

    @classmethod
    def parse(cls, value: object, path: str) -> "Tier":
        """The tier at `path`."""
        fields = require_fields(value, path, required=_TIER_FIELDS)
        keys_max = fields["keys_max"]
        return cls(
            slug=_slug(fields["slug"], f"{path}.slug"),
            name=_name(fields["name"], f"{path}.name"),
            rank=require_whole(fields["rank"], f"{path}.rank"),
            entry=require_choice(fields["entry"], f"{path}.entry", ENTRIES),
            description=require_prose(fields["description"], f"{path}.description"),
            requirements=_requirements(fields["requirements"], f"{path}.requirements"),
            keys_max=None if keys_max is None else require_whole(keys_max, f"{path}.keys_max"),
        )

    def to_wire(self) -> dict[str, Any]:
        """The fields as they stand in the log."""
        return {
            "slug": self.slug,
            "name": self.name,
            "rank": self.rank,
            "entry": self.entry,
            "description": self.description,
            "requirements": dict(self.requirements),
            "keys_max": self.keys_max,
        }


class Offer(NamedTuple):
    """That a tier offers a model, or (`offered` False) no longer, with what replaces it."""

    tier: str
    model: str
    offered: bool = True
    replacement: tuple[str, str] | None = None

    @classmethod
    def parse(cls, value: object, path: str) -> "Offer":
        """The offer at `path`; an absent `offered` is true."""
        fields = require_fields(value, path, required=_OFFER_REQUIRED, optional=_OFFER_OPTIONAL)
        offered = fields.get("offered", True)
        if not isinstance(offered, bool):
            raise InvalidField(f"{path}.offered", "must be true or false")
        replacement = _replacement(fields.get("replacement"), f"{path}.replacement")
        if offered and replacement is not None:
            raise InvalidField(f"{path}.replacement", "belongs to a withdrawn offer")
        if not offered and replacement is None:
            raise InvalidField(f"{path}.replacement", "must name what replaces the offer")
        tier, model = _slug(fields["tier"], f"{path}.tier"), _slug(fields["model"], f"{path}.model")
        return cls(tier, model, offered, replacement)

    def to_wire(self) -> dict[str, Any]:
        """The fields as they stand in the log."""
        fields: dict[str, Any] = {"tier": self.tier, "model": self.model, "offered": self.offered}
        if self.replacement is None:
            return {**fields, "replacement": None}
        tier, model = self.replacement
        return {**fields, "replacement": {"tier": tier, "model": model}}


def parse_counting(value: object, path: str) -> dict[str, dict[str, Any]]:
    """`{"reserve": {tier: {metric: amount}}, "texts": {metric: text}}`.

    Only what is reserved can have a reserve: the amount held for a request that names no maximum.
    """
    fields = require_fields(value, path, required=_COUNTING_FIELDS)
    reserve = {
        tier: _reserve(amounts, f"{path}.reserve.{tier}")
        for tier, amounts in _mapping(fields["reserve"], f"{path}.reserve").items()
    }
    texts = {}
    for metric, text in _mapping(fields["texts"], f"{path}.texts").items():
        where = f"{path}.texts.{metric}"
        if metric not in METRICS:
            raise InvalidField(where, "is not a known metric")
        texts[metric] = require_prose(text, where)
    return {"reserve": reserve, "texts": texts}


def require_text(value: object, path: str, *, longest: int) -> str:
    """One line of text, in NFC and trimmed: not empty, no control or bidirectional characters."""
    if not isinstance(value, str):
        raise InvalidField(path, "must be a text")
    text = unicodedata.normalize("NFC", value).strip()
    if not text:
        raise InvalidField(path, "must not be empty")
    if len(text) > longest:
        raise InvalidField(path, f"must have at most {longest} characters")
    if any(_is_control(character) for character in text):
        raise InvalidField(path, "must have no control characters")
    return text


def require_prose(value: object, path: str) -> str:
    """Text of several lines, in NFC with LF line ends and trimmed; not empty."""
    if not isinstance(value, str):
        raise InvalidField(path, "must be a text")
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    # Checked as one line, so that only line ends and tabs are let through.
    require_text(lines.replace("\n", " ").replace("\t", " "), path, longest=PROSE_LENGTH_MAX)
    return unicodedata.normalize("NFC", lines).strip()


def require_list(value: object, path: str) -> list[Any]:
    """The list at `path`."""
    if not isinstance(value, list):
        raise InvalidField(path, "must be a list")
    return value


def check_distinct(values: Iterable[object], path: str, field: str = "") -> None:
    """Refuse the second of two equal values, with the path of `field` in its list."""
    seen: dict[object, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(value, index)
        if first != index:
            raise InvalidField(f"{path}[{index}]{field}", f"stands already at {path}[{first}]")


def check_cells(cells: Sequence[Cell]) -> None:
    """Refuse a cell that stands twice, and two kinds under one name (EXACT.md 19)."""
    check_distinct(cells, "rows")
    check_distinct([cell.name for cell in cells], "rows", ".kind")


def check_known(
    tiers: Collection[str],
    models: Collection[str],
    *,
    offers: Iterable[Offer],
    cells: Iterable[Cell],
    counting: Mapping[str, Any],
) -> None:
    """Refuse offers, rows and reserves that name a tier or model that does not exist."""
    for index, offer in enumerate(offers):
        _check_names(tiers, models, (offer.tier, offer.model, f"offers[{index}]"))
    for index, cell in enumerate(cells):
        model = None if cell.model == ALL_MODELS else cell.model
        _check_names(tiers, models, (cell.tier, model, f"rows[{index}]"))
    for tier in counting.get("reserve", {}):
        if tier not in tiers:
            raise InvalidField(f"counting.reserve.{tier}", "is not a tier of this catalogue")


def _check_names(
    tiers: Collection[str], models: Collection[str], named: tuple[str, str | None, str]
) -> None:
    tier, model, path = named
    if tier not in tiers:
        raise InvalidField(f"{path}.tier", f"there is no tier {tier}")
    if model is not None and model not in models:
        raise InvalidField(f"{path}.model", f"there is no model {model}")


def _requirements(value: object, path: str) -> dict[str, int | bool]:
    requirements: dict[str, int | bool] = {}
    for name, wanted in _mapping(value, path).items():
        where = f"{path}.{name}"
        if name not in REQUIREMENTS:
            raise InvalidField(where, "is not a known requirement")
        if REQUIREMENTS[name] is bool:
            if not isinstance(wanted, bool):
                raise InvalidField(where, "must be true or false")
            requirements[name] = wanted
        else:
            requirements[name] = require_whole(wanted, where)
    return requirements


def _reserve(value: object, path: str) -> dict[str, int]:
    reserve = {}
    for metric, amount in _mapping(value, path).items():
        where = f"{path}.{metric}"
        if metric not in METRICS or METRICS[metric].counted is not Counted.RESERVED:
            raise InvalidField(where, "is not a metric that is reserved")
        reserve[metric] = require_whole(amount, where)
    return reserve


def _replacement(value: object, path: str) -> tuple[str, str] | None:
    if value is None:
        return None
    fields = require_fields(value, path, required=_OFFER_REQUIRED)
    return _slug(fields["tier"], f"{path}.tier"), _slug(fields["model"], f"{path}.model")


def _mapping(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidField(path, "must be an object")
    return value


def _slug(value: object, path: str) -> str:
    if not isinstance(value, str) or not is_slug(value):
        raise InvalidField(path, "must be a slug: a to z, 0 to 9, dots and hyphens inside")
    return value


def _name(value: object, path: str) -> str:
    return require_text(value, path, longest=NAME_LENGTH_MAX)


def _is_control(character: str) -> bool:
    # Cc holds control characters. Of Cf only the bidirectional ones: emoji need the joiner.
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDI


_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
