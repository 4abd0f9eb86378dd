import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from plimsoll.contract.records import Cursor
from portal.core import clock
from portal.core.seal import SyncCommit, SyncHead, SyncRecord
from portal.core.secrets import digest
from portal.core.wakeup import Wakeup
from portal.sync.errors import NoSuchGateway
from portal.sync.models import Gateway, GatewayToken, SyncAck
from portal.sync.policy import Acknowledgement, GatewayState, Receipt, gateway_state

LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class GatewayRow:
    """One line of the staff's list. `behind`: revisions it has not acknowledged yet."""

    id: str
    name: str
    state: GatewayState
    created_at: datetime
    seen_at: datetime | None
    acknowledged: int | None
    behind: int
    health: dict[str, Any]
    nacks: list[dict[str, Any]]


@dataclass(frozen=True)
class Holding:
    """How many of the enrolled gateways hold a record, and since when."""

    enrolled: int
    holding: int
    received_at: tuple[datetime, ...]


def get_head(session: Session) -> SyncHead:
    """Where the state stands."""
    return session.execute(select(SyncHead).execution_options(populate_existing=True)).scalar_one()


def list_of_this_history(
    session: Session, head: SyncHead, cursors: Iterable[Cursor]
) -> set[Cursor]:
    """Those of the cursors that name a commit of the present epoch (SYNC 1)."""
    near = {each for each in cursors if each.epoch == head.epoch}
    revisions = {each.revision for each in near if each.revision <= head.revision}
    rows = session.execute(
        select(SyncCommit.revision, SyncCommit.digest).where(SyncCommit.revision.in_(revisions))
    )
    commits = dict(rows.all())
    return {each for each in near if commits.get(each.revision, "").startswith(each.digest8)}


def find_head_after(session: Session, cursor: Cursor) -> int | None:
    """The revision that the state stands at, None where the cursor is of another history (SYNC 1).

    One statement, so that head and commit are of one state.
    """
    found = session.execute(
        select(SyncHead.revision, SyncCommit.digest).join(
            SyncCommit,
            and_(
                SyncCommit.revision == cursor.revision,
                SyncHead.epoch == cursor.epoch,
                SyncCommit.revision <= SyncHead.revision,
            ),
        )
    ).one_or_none()
    return found.revision if found and found.digest.startswith(cursor.digest8) else None


def find_gateway_by_token(session: Session, token: str) -> Gateway | None:
    """The enrolled gateway that a token belongs to, if the token is valid now."""
    known = digest(token)
    return find_gateways_by_tokens(session, [known]).get(known)


def find_gateways_by_tokens(session: Session, digests: Iterable[str]) -> dict[str, Gateway]:
    """The enrolled gateways that tokens belong to, by digest; those that are valid now."""
    rows = session.execute(
        select(GatewayToken.digest, Gateway)
        .join(Gateway, Gateway.id == GatewayToken.gateway_id)
        .where(GatewayToken.digest.in_(set(digests)), *_valid())
    )
    return dict(rows.all())


def list_valid_tokens(session: Session) -> set[str]:
    """The digests of all tokens that are valid now."""
    return set(session.scalars(select(GatewayToken.digest).join(Gateway).where(*_valid())))


def _valid() -> tuple[ColumnElement[bool], ...]:
    lasts = or_(GatewayToken.ends_at.is_(None), GatewayToken.ends_at > clock.now())
    return lasts, Gateway.removed_at.is_(None)


def get_gateway(session: Session, name: str) -> Gateway:
    """An enrolled gateway, locked. Raises NoSuchGateway."""
    found = session.scalar(
        select(Gateway).where(Gateway.name == name, Gateway.removed_at.is_(None)).with_for_update()
    )
    if found is None:
        raise NoSuchGateway
    return found


def list_gateways(session: Session) -> list[GatewayRow]:
    """The enrolled gateways by name, with how they are."""
    head, now = get_head(session), clock.now()
    rows = session.scalars(
        select(Gateway).where(Gateway.removed_at.is_(None)).order_by(Gateway.name)
    )
    return [
        GatewayRow(
            id=row.id,
            name=row.name,
            state=gateway_state(row.seen_at, at=now),
            created_at=row.created_at,
            seen_at=row.seen_at,
            acknowledged=row.acknowledged,
            behind=head.revision - (row.acknowledged or 0),
            health=row.health or {},
            nacks=row.nacks,
        )
        for row in rows
    ]


def count_local_gateways(session: Session) -> int:
    """How many gateways count for themselves: with two or more, a limit holds at each (SYNC 3)."""
    return sum(row.health.get("counters") == "local" for row in list_gateways(session))


def get_holding(
    session: Session, record: tuple[str, str], *, since: tuple[str, str | None]
) -> Holding:
    """The enrolled gateways that have acknowledged the newest form of `record` (kind, id).

    Beside them, when each first said that it holds a later state than the one that brought `since`:
    what an entry says is enforced with the checkpoint, which is the next commit at the earliest.
    """
    revision, brought = _revision_of(session, *record), _revision_of(session, *since) or 0
    first = (
        select(func.min(SyncAck.received_at))
        .where(SyncAck.gateway_id == Gateway.id, SyncAck.revision > brought)
        .correlate(Gateway)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Gateway.acknowledged, first).where(Gateway.removed_at.is_(None))
    ).all()
    holding = [
        received_at
        for acknowledged, received_at in rows
        if revision is not None and acknowledged is not None and acknowledged >= revision
    ]
    known = tuple(received_at for received_at in holding if received_at is not None)
    return Holding(enrolled=len(rows), holding=len(holding), received_at=known)


def _revision_of(session: Session, kind: str, record_id: str | None) -> int | None:
    return session.scalar(
        select(SyncRecord.revision).where(SyncRecord.kind == kind, SyncRecord.id == record_id)
    )


def get_receipt(session: Session, kind: str, record_id: str) -> Receipt:
    """The receipt for a record's latest change: the gateways enrolled when it was committed (SYNC 4)."""
    revision, committed_at = session.execute(
        select(SyncRecord.revision, SyncCommit.committed_at)
        .join(SyncCommit, SyncCommit.revision == SyncRecord.revision)
        .where(SyncRecord.kind == kind, SyncRecord.id == record_id)
    ).one()
    first = (
        select(func.min(SyncAck.received_at))
        .where(SyncAck.gateway_id == Gateway.id, SyncAck.revision >= revision)
        .correlate(Gateway)
        .scalar_subquery()
    )
    enrolled = and_(
        Gateway.created_at <= committed_at,
        or_(Gateway.removed_at.is_(None), Gateway.removed_at > committed_at),
    )
    rows = session.execute(
        select(Gateway.name, first, Gateway.seen_at).where(enrolled).order_by(Gateway.name)
    )
    lines = [
        Acknowledgement(
            gateway=name,
            took=None if received_at is None else received_at - committed_at,
            seen_at=seen_at,
            state=gateway_state(seen_at, at=clock.now()),
        )
        for name, received_at, seen_at in rows
    ]
    return Receipt(committed_at=committed_at, acknowledgements=lines)


def await_receipt(
    session: Session, kind: str, record_id: str, *, wakeup: Wakeup, seconds: float
) -> Receipt:
    """The receipt, after waiting for the gateways that are connected, at most so many seconds.

    They answer within milliseconds, but a page that follows a revocation at once would miss them.
    """
    ends = time.monotonic() + seconds
    while True:
        seen = wakeup.count
        receipt = get_receipt(session, kind, record_id)
        left = ends - time.monotonic()
        if left <= 0 or not receipt.is_awaited:
            return receipt
        session.rollback()  # the next look must see what was committed meanwhile
        # Another process may take the report: it wakes nobody here.
        wakeup.wait(seen, min(left, LOOK_SECONDS))
