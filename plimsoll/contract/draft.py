"""A change as somebody writes it, and how it becomes one that can be announced (EXACT.md 13).

A file or a form says what shall be; `compose` finds in the log what that changes. What an author
can never give is `from`, a number, a direction or the instant of the announcement.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from plimsoll.contract import acts
from plimsoll.contract.announcement import Announcement, ChangeClass, Row, hash_reason
from plimsoll.contract.announcing import appended
from plimsoll.contract.effect import as_change, layer_before
from plimsoll.contract.history import History, Status
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import (
    EXACT_BOUND,
    Cell,
    InvalidField,
    Limit,
    parse_row,
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
    check_known,
    parse_counting,
    require_list,
    require_prose,
    require_text,
)

# An instant that has just passed is meant as "now" (EXACT.md 4).
GRACE_SECONDS = 60

RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:[Zz]|[+-]\d{2}:\d{2})")

_Parsed = TypeVar("_Parsed")

_REQUIRED = frozenset({"title", "reason"})
_OPTIONAL = frozenset(
    {
        "effective_at",
        "expires_at",
        "class",
        "replaces",
        "models",
        "tiers",
        "offers",
        "counting",
        "rows",
    }
)
_NO_COUNTING: Mapping[str, Any] = {"reserve": {}, "texts": {}}


@dataclass(frozen=True)
class Draft:
    """What a change shall be. Instants are Unix seconds; `effective_at` None means at once.

    A value of None in `rows` removes the limit.
    """

    title: str
    reason: str
    effective_at: int | None = None
    expires_at: int | None = None
    change_class: ChangeClass = ChangeClass.LASTING
    replaces: tuple[int, ...] = ()
    models: tuple[Model, ...] = ()
    tiers: tuple[Tier, ...] = ()
    offers: tuple[Offer, ...] = ()
    counting: Mapping[str, Any] = field(default_factory=lambda: _NO_COUNTING)
    rows: tuple[tuple[Cell, Limit | None], ...] = ()


def parse_draft(value: object) -> Draft:
    """The change in the JSON value of a file (read it with `canonical.read`).

    Raises:
        InvalidField: with the path of the offending field, as `rows[3].quota`.
    """
    fields = require_fields(value, "", required=_REQUIRED, optional=_OPTIONAL)
    classes = [each.value for each in ChangeClass]
    rows = _parse_list(fields, "rows", parse_row)
    draft = Draft(
        title=require_text(fields["title"], "title", longest=TITLE_LENGTH_MAX),
        reason=require_prose(fields["reason"], "reason"),
        effective_at=_instant(fields.get("effective_at"), "effective_at"),
        expires_at=_instant(fields.get("expires_at"), "expires_at"),
        change_class=ChangeClass(
            require_choice(fields.get("class", ChangeClass.LASTING.value), "class", classes)
        ),
        replaces=_parse_list(fields, "replaces", _number),
        models=_parse_list(fields, "models", Model.parse),
        tiers=_parse_list(fields, "tiers", Tier.parse),
        offers=_parse_list(fields, "offers", Offer.parse),
        counting=_counting(fields.get("counting")),
        rows=rows,
    )
    check_distinct(draft.replaces, "replaces")
    check_distinct([model.slug for model in draft.models], "models", ".slug")
    check_distinct([tier.slug for tier in draft.tiers], "tiers", ".slug")
    check_distinct([(offer.tier, offer.model) for offer in draft.offers], "offers")
    check_cells([cell for cell, _ in rows])
    return draft


def compose(history: History, draft: Draft, *, at: int, change_id: str) -> Announcement:
    """The change that would be announced at Unix second `at`, as `chg_…` named `change_id`.

    `from` is computed on the layer that the change changes; what changes nothing is left out. What
    it replaces counts as withdrawn, whether it is already or not. The notice is not looked at:
    that is `rules.check`.

    Raises:
        InvalidField: what it names does not exist, it lies in the past, or it changes nothing.
    """
    known = without_replaced(history, draft, at=at)
    bare = replace(
        _bare(draft, effective_at=_effective_at(draft, at)),
        change=len(history.changes) + 1,
        id=change_id,
        expires_at=_expires_at(draft),
    )
    before = layer_before(known, as_change(bare, seq=known.size, at=at))
    _check_known(draft, before)
    composed = replace(
        bare,
        models=tuple(each for each in draft.models if before.models.get(each.slug) != each),
        tiers=tuple(each for each in draft.tiers if before.tiers.get(each.slug) != each),
        offers=tuple(
            each
            for each in draft.offers
            if ((each.tier, each.model) in before.offers) != each.offered
        ),
        counting=_news(draft.counting, before),
        rows=tuple(
            Row(cell, before.limit(cell), limit)
            for cell, limit in draft.rows
            if before.limit(cell) != limit
        ),
    )
    if composed == bare:
        raise InvalidField("", "it changes nothing: all is so already at that time")
    return composed


def withdrawals(draft: Draft, *, number: int) -> list[acts.Withdrawn]:
    """The entries to log just before change `number`, in the same second, for what it replaces."""
    reason = f"replaced by change {number}"
    return [acts.Withdrawn(replaced, reason, number) for replaced in sorted(draft.replaces)]


def without_replaced(history: History, draft: Draft, *, at: int) -> History:
    """The log at Unix second `at` once what the draft replaces is withdrawn.

    Raises:
        InvalidField: there is no such change.
    """
    for act in withdrawals(draft, number=len(history.changes) + 1):
        change = history.changes.get(act.change)
        if change is None:
            raise InvalidField("replaces", f"there is no change {act.change}")
        if change.status is not Status.WITHDRAWN:
            place = (history.size, at)
            history = appended(history, act.kind, act.to_wire(), place=place)
    return history


def _bare(draft: Draft, *, effective_at: int) -> Announcement:
    """A draft's change without its content, after all others of its instant."""
    return Announcement(
        change=EXACT_BOUND - 1,
        id="",
        change_class=draft.change_class,
        title=draft.title,
        reason_sha256=hash_reason(draft.reason),
        effective_at=effective_at,
        expires_at=draft.expires_at,
        models=(),
        tiers=(),
        offers=(),
        counting=_NO_COUNTING,
        rows=(),
    )


def _effective_at(draft: Draft, at: int) -> int:
    if draft.effective_at is None or at - GRACE_SECONDS <= draft.effective_at < at:
        return at
    if draft.effective_at < at:
        raise InvalidField("effective_at", "lies in the past")
    return draft.effective_at


def _expires_at(draft: Draft) -> int | None:
    if draft.change_class is ChangeClass.LASTING and draft.expires_at is not None:
        raise InvalidField("expires_at", "belongs to temporary and emergency changes only")
    if draft.change_class is not ChangeClass.LASTING and draft.expires_at is None:
        raise InvalidField("expires_at", "must say when it ends")
    return draft.expires_at


def _check_known(draft: Draft, before: Lasting) -> None:
    check_known(
        before.tiers.keys() | {tier.slug for tier in draft.tiers},
        before.models.keys() | {model.slug for model in draft.models},
        offers=draft.offers,
        cells=[cell for cell, _ in draft.rows],
        counting=draft.counting,
    )


def _news(counting: Mapping[str, Any], before: Lasting) -> dict[str, Any]:
    """The reserves and texts that are new or different."""
    reserve = {
        tier: {
            metric: amount
            for metric, amount in amounts.items()
            if before.reserve.get(tier, {}).get(metric) != amount
        }
        for tier, amounts in counting["reserve"].items()
    }
    texts = {
        metric: text
        for metric, text in counting["texts"].items()
        if before.texts.get(metric) != text
    }
    return {"reserve": {tier: new for tier, new in reserve.items() if new}, "texts": texts}


def _counting(value: object) -> Mapping[str, Any]:
    if value is None:
        return _NO_COUNTING
    if isinstance(value, dict):
        # Either half may be left out of a file.
        return parse_counting({**_NO_COUNTING, **value}, "counting")
    return parse_counting(value, "counting")


def _instant(value: object, path: str) -> int | None:
    """RFC 3339 with an offset and whole seconds (EXACT.md 1), or Unix seconds."""
    if value is None:
        return None
    if not isinstance(value, str):
        return require_instant(value, path)
    text = "must be an instant such as 2026-12-24T12:00:00Z, in whole seconds"
    if RFC3339.fullmatch(value) is None:
        raise InvalidField(path, text)
    try:
        seconds = datetime.fromisoformat(value.upper()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidField(path, text) from error
    return require_instant(int(seconds), path)


def _number(value: object, path: str) -> int:
    return require_whole(value, path, least=1)


def _parse_list(
    fields: Mapping[str, Any], name: str, parse: Callable[[object, str], _Parsed]
) -> tuple[_Parsed, ...]:
    members = require_list(fields.get(name, []), name)
    return tuple(parse(member, f"{name}[{index}]") for index, member in enumerate(members))
