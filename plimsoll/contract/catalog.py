"""A tier catalogue, as a file publishes it as change 1 (`catalog/README.md`, format 1)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from plimsoll.contract.announcement import Announcement, ChangeClass, Row
from plimsoll.contract.limits import Cell, InvalidField, Limit, parse_row, require_fields
from plimsoll.contract.terms import (
    TITLE_LENGTH_MAX,
    Model,
    Offer,
    Tier,
    check_cells,
    check_distinct,
    check_known,
    parse_counting,
    require_list,
    require_prose,
    require_text,
)

FORMAT = 1

_Parsed = TypeVar("_Parsed")

_REQUIRED = frozenset(
    {"format", "provider", "title", "reason", "models", "tiers", "offers", "counting", "rows"}
)
# Where the figures come from: for those who keep the file, not published.
_OPTIONAL = frozenset({"source"})


@dataclass(frozen=True)
class Catalog:
    """A whole table of limits with its tiers, models, offers and counting rule."""

    provider: str
    title: str
    reason: str
    models: tuple[Model, ...]
    tiers: tuple[Tier, ...]
    offers: tuple[Offer, ...]
    counting: Mapping[str, Any]
    limits: tuple[Limit, ...]

    def announcement_body(
        self, change_id: str, effective_at: int, reason_sha256: str
    ) -> dict[str, Any]:
        """The body of the `change.announced` entry that publishes this as change 1 (EXACT.md 14).

        `change_id` is `chg_…`, `effective_at` Unix seconds, `reason_sha256` from `hash_reason`.
        """
        return Announcement(
            change=1,
            id=change_id,
            change_class=ChangeClass.LASTING,
            title=self.title,
            reason_sha256=reason_sha256,
            effective_at=effective_at,
            expires_at=None,
            models=self.models,
            tiers=self.tiers,
            offers=self.offers,
            counting=self.counting,
            rows=tuple(Row(limit.cell, None, limit) for limit in self.limits),
        ).to_wire()


def parse_catalog(value: object) -> Catalog:
    """The catalogue in the JSON value of a file (read it with `canonical.read`).

    Raises:
        InvalidField: with the path of the offending field, as `rows[3].quota`.
    """
    fields = require_fields(value, "", required=_REQUIRED, optional=_OPTIONAL)
    if type(fields["format"]) is not int or fields["format"] != FORMAT:
        raise InvalidField("format", f"must be {FORMAT}")
    rows = _parse_list(fields, "rows", parse_row)
    catalog = Catalog(
        provider=require_text(fields["provider"], "provider", longest=TITLE_LENGTH_MAX),
        title=require_text(fields["title"], "title", longest=TITLE_LENGTH_MAX),
        reason=require_prose(fields["reason"], "reason"),
        models=_parse_list(fields, "models", Model.parse),
        tiers=_parse_list(fields, "tiers", Tier.parse),
        offers=_parse_list(fields, "offers", Offer.parse),
        counting=parse_counting(fields["counting"], "counting"),
        # A row without a quota removes a limit, and before change 1 there is none.
        limits=tuple(limit for _, limit in rows if limit is not None),
    )
    if not isinstance(fields.get("source", ""), str):
        raise InvalidField("source", "must be a text")
    _check(catalog, [cell for cell, _ in rows])
    return catalog


def _check(catalog: Catalog, cells: list[Cell]) -> None:
    tiers = [tier.slug for tier in catalog.tiers]
    models = [model.slug for model in catalog.models]
    check_distinct(models, "models", ".slug")
    check_distinct(tiers, "tiers", ".slug")
    check_distinct([tier.rank for tier in catalog.tiers], "tiers", ".rank")
    check_distinct([(offer.tier, offer.model) for offer in catalog.offers], "offers")
    check_cells(cells)
    check_known(tiers, models, offers=catalog.offers, cells=cells, counting=catalog.counting)
    for index, offer in enumerate(catalog.offers):
        if not offer.offered:
            raise InvalidField(f"offers[{index}].offered", "nothing is offered yet to withdraw")
    # An organisation starts on the lowest automatic tier that offers something (EXACT.md 11).
    offering = {offer.tier for offer in catalog.offers}
    if not any(tier.entry == "automatic" and tier.slug in offering for tier in catalog.tiers):
        raise InvalidField("tiers", "must hold a tier with automatic entry that offers a model")


def _parse_list(
    fields: Mapping[str, Any], name: str, parse: Callable[[object, str], _Parsed]
) -> tuple[_Parsed, ...]:
    members = require_list(fields[name], name)
    return tuple(parse(member, f"{name}[{index}]") for index, member in enumerate(members))
