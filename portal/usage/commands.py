from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.upserts import listed, upsert
from portal.keys.commands import Use, note_use
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.usage.batch import MINUTE, BadRow, Batch, Reading, Row
from portal.usage.models import (
    MeterCounter,
    RefusedBatch,
    RefusedHour,
    UsageCursor,
    UsageDay,
    UsageHour,
    UsageMinute,
)
from portal.usage.packing import Figures

_Place = TypeVar("_Place")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY = 3600, 86_400


@dataclass(frozen=True)
class Source:
    """The gateway that a batch came from. `is_shared`: it counts together with others."""

    id: str
    name: str
    is_shared: bool = False


@dataclass(frozen=True)
class Answer:
    """What the gateway is told: a status, and what SYNC 2 says under it."""

    status: int
    said: dict[str, Any]


def take_batch(session: Session, *, source: Source, batch: Batch) -> Answer:
    """Add a batch's counts, once: whether it is the next is asked and written in this transaction.

    Nobody but the provider's own gateways sends batches, so no role is asked and nothing is journaled.
    """
    cursor = _lock_cursor(session, source)
    misplaced = _misplaced(session, cursor, batch)
    if misplaced is not None:
        return misplaced
    if batch.boot > cursor.boot:
        _forget_in_flight(session, source)
    cursor.boot, cursor.seq, cursor.at = batch.boot, batch.seq, clock.now()
    try:
        if batch.bad:
            raise batch.bad
        orgs = _orgs_of(session, batch.rows, batch.counters)
    except BadRow as bad:
        blame = RefusedBatch(gateway_id=source.id, boot=batch.boot, seq=batch.seq, row=bad.row)
        blame.code = bad.code
        session.add(blame)
        return _refused(blame)
    _add(session, batch.rows, orgs=orgs)
    _set_counters(session, source, batch.counters, orgs=orgs)
    note_use(session, _uses(source, batch))
    return Answer(200, {"seq": batch.seq})


def forget_gateway(session: Session, gateway_id: str) -> None:
    """Drop the counters of a gateway that was taken out: nothing is decided with them any more."""
    session.execute(delete(MeterCounter).where(MeterCounter.gateway_id == gateway_id))


# ---- the order of batches ----


def _lock_cursor(session: Session, source: Source) -> UsageCursor:
    found = session.get(UsageCursor, source.id, with_for_update=True)
    if found is None:
        found = UsageCursor(gateway_id=source.id, boot=0, seq=0)
        session.add(found)
        session.flush()  # of two first batches at once the database lets one wait, and then fail
    return found


def _misplaced(session: Session, cursor: UsageCursor, batch: Batch) -> Answer | None:
    """What to answer a batch that is not the next; None to the next."""
    if batch.boot < cursor.boot:
        return Answer(409, {"boot": cursor.boot})
    last = cursor.seq if batch.boot == cursor.boot else 0
    if batch.seq > last + 1:
        return Answer(409, {"expect": last + 1})
    if batch.seq == last + 1:
        return None
    blame = session.get(RefusedBatch, (cursor.gateway_id, batch.boot, batch.seq))
    return _refused(blame) if blame else Answer(200, {"seq": batch.seq, "duplicate": True})


def _refused(blame: RefusedBatch) -> Answer:
    return Answer(422, {"seq": blame.seq, "row": blame.row, "code": blame.code})


# ---- whose it is ----


def _orgs_of(session: Session, rows: list[Row], counters: list[Reading]) -> dict[str, str]:
    """The organisation of each key, and of each owner of a counter. Raises BadRow for an unknown key.

    Revoked keys count like all others: what they did before, or were refused since, was done.
    """
    owners = {each.owner for each in counters}
    wanted = listed(session, {row.key_id for row in rows} | owners)
    query = select(ApiKey.id, ApiKey.org_id).where(ApiKey.id.in_(wanted))
    keys = session.connection().execute(query)  # the ORM would take as long as the database
    orgs: dict[str, str] = {key_id: org_id for key_id, org_id in keys}  # noqa: C416 -- rows are no pairs to mypy
    for number, row in enumerate(rows):
        if row.key_id not in orgs:
            raise BadRow(number, "key_unknown")
    if unknown := owners - orgs.keys():
        found = session.scalars(select(Org.id).where(Org.id.in_(listed(session, unknown))))
        orgs |= {org_id: org_id for org_id in found}
    return orgs


# ---- what is added ----


def _add(session: Session, rows: list[Row], *, orgs: dict[str, str]) -> None:
    minutes: dict[tuple[str, str, int], Figures] = {}
    hours: dict[tuple[str, str, str, int], Figures] = {}
    days: dict[tuple[str, int], Figures] = {}
    refusals: dict[tuple[str, str, str, int], int] = {}
    for key_id, model, minute, requests, input_tokens, output_tokens, refused in rows:
        org_id, hour = orgs[key_id], minute - minute % HOUR
        count = sum(refused.values()) if refused else 0
        figures = Figures(requests, count, input_tokens, output_tokens)
        _sum(minutes, (org_id, model, minute), figures)
        _sum(hours, (org_id, key_id, model, hour), figures)
        for name, times in refused.items():
            place = (org_id, key_id, name, hour)
            refusals[place] = refusals.get(place, 0) + times
    for (org_id, _, minute), figures in minutes.items():
        _sum(days, (org_id, minute - minute % DAY), figures)
    now = clock.timestamp()
    upsert(session, UsageMinute, ((*place, *figures) for place, figures in minutes.items()))
    upsert(session, UsageHour, ((*place, *figures) for place, figures in hours.items()))
    upsert(session, RefusedHour, ((*place, count) for place, count in refusals.items()))
    upsert(
        session,
        UsageDay,
        (
            (*place, now if figures.requests > 0 else None, *figures)
            for place, figures in days.items()
        ),
    )


def _sum(into: dict[_Place, Figures], place: _Place, figures: Figures) -> None:
    known = into.get(place)
    into[place] = figures if known is None else known.plus(figures)


def _set_counters(
    session: Session, source: Source, counters: list[Reading], *, orgs: dict[str, str]
) -> None:
    # One of an organisation that a restored backup does not know says nothing to anybody.
    known = {(each.owner, each.name): each for each in counters if each.owner in orgs}
    upsert(
        session,
        MeterCounter,
        (
            (source.id, *place, orgs[each.owner], *each[2:4], *each[5:], each.at, source.is_shared)
            for place, each in known.items()
        ),
    )


def _forget_in_flight(session: Session, source: Source) -> None:
    """Requests in flight ended with the process that counted them."""
    session.execute(
        delete(MeterCounter).where(
            MeterCounter.gateway_id == source.id,
            MeterCounter.full_at.is_(None),
            MeterCounter.resets_at.is_(None),
        )
    )


def _uses(source: Source, batch: Batch) -> Iterator[Use]:
    instants: dict[int, datetime] = {}
    for row in batch.rows:
        at = instants.get(row.minute)
        if at is None:
            # Where in its minute is not said, but not after the batch was closed.
            seconds = max(row.minute, min(row.minute + MINUTE - 1, batch.until))
            at = instants[row.minute] = EPOCH + timedelta(seconds=seconds)
        yield Use(row.key_id, at, source.name)
