"""Bulk acts row by row: what each would do, and what it did, in a transaction of its own."""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.admin.queries import OrgRow
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.keys.overage import overage
from portal.orgs.models import Org
from portal.orgs.queries import get_org_by_id_as_admin
from portal.tiers.moves import TierDecision, judge
from portal.tiers.queries import get_standing, get_tier
from portal.tiers.shown import is_lower
from portal.web.filters import instant

log = logging.getLogger(__name__)

# About two seconds of work; a longer list is narrowed by the filter and done in parts.
BULK_MAX = 200
_ROW = re.compile(r"(org_[0-9a-z]{26})(?::([0-9]{1,9}(?:-mov_[0-9a-z]{26})?))?", re.ASCII)


@dataclass(frozen=True)
class ChosenRow:
    """A row as a form carries it: the organisation, and how it stood when somebody looked."""

    org_id: str
    seen: str

    def __str__(self) -> str:
        return f"{self.org_id}:{self.seen}"


@dataclass(frozen=True)
class Outlook:
    """What an act would do to one organisation; `problem`: why it would not."""

    org: OrgRow
    row: ChosenRow
    will: str
    problem: str | None
    takes_away: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What an act did to one organisation, or why it did not."""

    name: str
    slug: str | None
    is_done: bool
    text: str


def read_rows(values: Iterable[str]) -> list[ChosenRow]:
    """The rows that a form carries, each organisation once, at most BULK_MAX; others are not of our making."""
    found: dict[str, ChosenRow] = {}
    for value in values:
        match = _ROW.fullmatch(value)
        if match is not None:
            found.setdefault(match[1], ChosenRow(match[1], match[2] or ""))
    return list(found.values())[:BULK_MAX]


def foresee(
    session: Session, actor: Actor, orgs: Iterable[OrgRow], *, decision: TierDecision
) -> list[Outlook]:
    """What a decision about tiers would do to each organisation as things stand."""
    return [_foresee(session, actor, org, decision=decision) for org in orgs]


def _foresee(session: Session, actor: Actor, org: OrgRow, *, decision: TierDecision) -> Outlook:
    loaded = get_org_by_id_as_admin(session, actor, org.id)
    standing = get_standing(session, org.id)
    row = ChosenRow(org.id, standing.token)
    try:
        effective_at = judge(session, loaded, decision)
        tier = get_tier(session, decision.tier)
    except PortalError as error:
        return Outlook(org, row, "", error.public, ())
    when = "" if effective_at <= clock.now() else f" on {instant(effective_at)}"
    instead = " in place of the move that is planned" if standing.move else ""
    lower = is_lower(session, standing.assignment.tier, decision.tier)
    return Outlook(
        org=org,
        row=row,
        will=f"{org.tier} → {tier.name}{when}{instead}",
        problem=None,
        takes_away=overage(session, loaded, decision.tier) if lower else (),
    )


def act_on(
    session: Session,
    actor: Actor,
    rows: Iterable[ChosenRow],
    *,
    act: Callable[[Org, ChosenRow], str],
) -> list[Outcome]:
    """Act on each organisation in a transaction of its own: one that fails keeps no other from it."""
    return [_act(session, actor, row, act=act) for row in rows]


def _act(
    session: Session, actor: Actor, row: ChosenRow, *, act: Callable[[Org, ChosenRow], str]
) -> Outcome:
    name, slug = row.org_id, None
    try:
        with transaction(session):
            org = get_org_by_id_as_admin(session, actor, row.org_id, for_update=True)
            name, slug = org.name, org.slug
            text = act(org, row)
    except PortalError as error:
        return Outcome(name, slug, is_done=False, text=error.public)
    except Exception:
        log.exception("a bulk act failed at %s", row.org_id)
        text = "Something went wrong on our side; nothing was changed here."
        return Outcome(name, slug, is_done=False, text=text)
    return Outcome(name, slug, is_done=True, text=text)
