from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from plimsoll.contract import tokens
from plimsoll.contract.limits import is_slug
from plimsoll.contract.records import (
    WIRE_VERSION,
    Cursor,
    digest_hex,
    digest_of,
    record_hash,
)
from portal.changelog.recovery import restore_changes
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import violates
from portal.core.errors import Invalid
from portal.core.ids import new_id
from portal.core.seal import SyncCommit, SyncHead, SyncRecord, build_all, lock_head, new_epoch
from portal.core.secrets import choose, digest
from portal.journal.commands import record
from portal.sync.errors import GatewayNameTaken
from portal.sync.models import Gateway, GatewayToken, SyncAck
from portal.sync.policy import OLD_TOKEN_LASTS
from portal.sync.queries import get_gateway, get_head, list_of_this_history
from portal.usage.commands import forget_gateway

CHUNK = 5000
NACKS_KEPT = 100


@dataclass(frozen=True)
class Report:
    """What a gateway says: how far it is, what it could not read, how it is."""

    cursor: Cursor | None
    nacks: list[dict[str, Any]]
    health: dict[str, Any]


def add_gateway(session: Session, *, actor: Actor, name: str, brand: str) -> str:
    """Enrol a gateway; returns its token, which is shown once. Raises Invalid, GatewayNameTaken."""
    if not is_slug(name):
        raise Invalid("A gateway's name has lower-case letters, digits, dots and dashes.")
    gateway = Gateway(id=new_id("gw"), name=name)
    session.add(gateway)
    try:
        session.flush()  # the index decides between two enrolments, and the token wants the row
    except IntegrityError as error:
        if violates(error, "uq_gateways_name"):
            raise GatewayNameTaken from error
        raise
    record(session, actor, "gateway:added", subject_id=gateway.id, name=name)
    return _add_token(session, gateway, brand=brand)


def rotate_token(session: Session, *, actor: Actor, name: str, brand: str) -> str:
    """A new token; the old one works a day longer, so that it can be replaced. Raises NoSuchGateway."""
    gateway = get_gateway(session, name)
    ends_at = clock.now() + OLD_TOKEN_LASTS
    old = select(GatewayToken).where(GatewayToken.gateway_id == gateway.id)
    for token in session.scalars(old):
        token.ends_at = min(token.ends_at or ends_at, ends_at)
    record(session, actor, "gateway:token:rotated", subject_id=gateway.id, name=name)
    return _add_token(session, gateway, brand=brand)


def remove_gateway(session: Session, *, actor: Actor, name: str) -> None:
    """Take a gateway out: its tokens are refused from now on. Raises NoSuchGateway."""
    gateway = get_gateway(session, name)
    gateway.removed_at = clock.now()
    forget_gateway(session, gateway.id)
    record(session, actor, "gateway:removed", subject_id=gateway.id, name=name)


def _add_token(session: Session, gateway: Gateway, *, brand: str) -> str:
    text = tokens.build(f"{brand}gw_", tokens.new_body(choose))
    session.add(GatewayToken(digest=digest(text), gateway_id=gateway.id))
    return text


def take_reports(session: Session, said: Sequence[tuple[str, Report]]) -> list[int | None]:
    """Keep reports of gateways (by id); returns the revision that each counts for, None for none.

    A cursor of another history is no acknowledgement (SYNC 1). However many they are, the database is
    asked three questions: after one change every gateway reports at once.
    """
    ids = {gateway_id for gateway_id, _ in said}
    gateways = session.scalars(
        select(Gateway).where(Gateway.id.in_(ids)).order_by(Gateway.id).with_for_update()
    )
    known = {gateway.id: gateway for gateway in gateways}
    cursors = {report.cursor for _, report in said if report.cursor}
    ours = list_of_this_history(session, get_head(session), cursors)
    return [_take_report(session, known[by], report, ours=ours) for by, report in said]


def _take_report(
    session: Session, gateway: Gateway, report: Report, *, ours: set[Cursor]
) -> int | None:
    gateway.seen_at = clock.now()
    gateway.health = report.health
    if report.nacks:
        gateway.nacks = [*gateway.nacks, *report.nacks][-NACKS_KEPT:]
    cursor = report.cursor
    if cursor is None or cursor not in ours:
        return None
    if gateway.acknowledged is None or cursor.revision > gateway.acknowledged:
        gateway.acknowledged = cursor.revision
        session.add(
            SyncAck(gateway_id=gateway.id, revision=cursor.revision, received_at=gateway.seen_at)
        )
    return cursor.revision


def rebuild(session: Session, *, actor: Actor) -> int:
    """Build every record anew from the tables and start a new epoch; returns the number of records.

    The revision goes on rising, so that acknowledgements of earlier ones keep their meaning.
    """
    head = lock_head(session)
    head.revision += 1
    head.epoch, head.wire_version = new_epoch(), WIRE_VERSION
    session.execute(delete(SyncRecord))
    session.execute(delete(SyncCommit))
    hashes: list[bytes] = []
    built = _rows(session, revision=head.revision, hashes=hashes)
    while chunk := list(islice(built, CHUNK)):
        session.execute(insert(SyncRecord), chunk)
    head.count, head.digest = len(hashes), digest_hex(digest_of(hashes))
    session.add(SyncCommit(revision=head.revision, digest=head.digest))
    record(session, actor, "sync:state:rebuilt", epoch=head.epoch, records=head.count)
    return head.count


def renew_after_recovery(session: Session, *, actor: Actor) -> None:
    """Give recovered changes their numbers and ids back, and start a new epoch."""
    restore_changes(session)
    rebuild(session, actor=actor)


def rebuild_if_outdated(session: Session, *, actor: Actor) -> bool:
    """Rebuild where the records were written for another version of the wire (SYNC 1)."""
    if session.scalar(select(SyncHead.wire_version)) == WIRE_VERSION:
        return False
    rebuild(session, actor=actor)
    return True


def _rows(session: Session, *, revision: int, hashes: list[bytes]) -> Iterator[dict[str, Any]]:
    for (kind, record_id), text in build_all(session):
        made = record_hash(kind, record_id, text.encode())
        hashes.append(made)
        yield {
            "kind": kind,
            "id": record_id,
            "revision": revision,
            "data": text,
            "hash": made.hex(),
        }
