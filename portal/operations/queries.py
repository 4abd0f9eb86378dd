from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.core import clock
from portal.core.outbox import ATTEMPTS_MAX, Mail
from portal.core.seal import SyncCommit, SyncRecord
from portal.keys.models import ApiKey
from portal.operations import policy
from portal.operations.models import Alert, AlertWatch, FailingJob, Kind
from portal.operations.policy import Condition, Outbox
from portal.sync.models import Gateway, SyncAck
from portal.sync.policy import GatewayState
from portal.sync.queries import GatewayRow, list_gateways
from portal.transparency.models import LogEntry, LogHead
from portal.usage.models import UsageCursor
from portal.web.filters import instant, plural

CLOSED_SHOWN = 50
EVENT = "alert:"
UNACKNOWLEDGED_AFTER = timedelta(seconds=1)


@dataclass(frozen=True)
class Signing:
    """How far the log is signed. `oldest_at`: when the first entry that is not was appended."""

    size: int
    waiting: int
    oldest_at: datetime | None
    trouble: str | None
    trouble_kind: str | None


@dataclass(frozen=True)
class Unacknowledged:
    """Revocations that some gateway has not acknowledged, of over a second ago."""

    count: int
    oldest_at: datetime | None


def list_open_alerts(session: Session, *, for_update: bool = False) -> list[Alert]:
    """What is wrong, the longest first; also what has not lasted long enough to be told."""
    query = select(Alert).where(Alert.closed_at.is_(None)).order_by(Alert.since, Alert.id)
    return list(session.scalars(query.with_for_update() if for_update else query))


def list_told_alerts(session: Session) -> list[Alert]:
    """The open alerts of which staff were told, for their pages."""
    return [alert for alert in list_open_alerts(session) if alert.opened_at is not None]


def list_closed_alerts(session: Session) -> list[Alert]:
    """The newest alerts that are over."""
    query = select(Alert).where(Alert.closed_at.is_not(None))
    return list(session.scalars(query.order_by(Alert.closed_at.desc()).limit(CLOSED_SHOWN)))


def list_staff(session: Session) -> list[User]:
    """Whom alerts are mailed to."""
    query = select(User).where(User.is_admin, User.deleted_at.is_(None))
    return list(session.scalars(query.order_by(User.id)))


def get_watch(session: Session) -> AlertWatch:
    """When the jobs last looked."""
    return session.execute(
        select(AlertWatch).execution_options(populate_existing=True)
    ).scalar_one()


def is_watched(session: Session) -> bool:
    """Whether the jobs run."""
    return policy.is_watched(get_watch(session).looked_at, at=clock.now())


def find_conditions(session: Session) -> list[Condition]:
    """All that is wrong now, as the tables tell it."""
    watch = get_watch(session)
    # The first look after a gap blames nobody: that it was made is noted after it.
    since = watch.since if policy.is_watched(watch.looked_at, at=clock.now()) else None
    gateways = [
        found
        for row in list_gateways(session)
        for found in (*_silence(row, since=since), *_complaints(row))
    ]
    return [*_signing(session), *_outbox(session), *_failing(session), *gateways]


def _silence(row: GatewayRow, *, since: datetime | None) -> Iterator[Condition]:
    if row.state is GatewayState.LOST and row.seen_at is not None:
        yield Condition(
            Kind.GATEWAY_LOST,
            f"Last heard {instant(row.seen_at)}. It may still accept what was revoked since.",
            *(row.id, row.name),
            may_open=policy.may_be_lost(row.state, since=since, at=clock.now()),
        )


def _complaints(row: GatewayRow) -> Iterator[Condition]:
    subject = (row.id, row.name)
    if policy.is_diverged(row.health):
        text = "It says that what the portal sends does not add up, and keeps its last good state."
        yield Condition(Kind.GATEWAY_DIVERGED, text, *subject)
    problem = policy.log_problem(row.health)
    if problem == "log_forked":
        text = "It was shown two histories of the public log. It keeps the one that it verified."
        yield Condition(Kind.LOG_FORKED, text, *subject)
    elif problem is not None:
        text = (
            f"It does not take the newest of the log ({problem}); its limits are those of before."
        )
        yield Condition(Kind.LOG_REFUSED, text, *subject)
    if (rows := policy.spool_rows(row.health)) > policy.SPOOL_ROWS_MAX:
        yield Condition(
            Kind.SPOOL_GROWING, f"{rows:,} rows of usage wait there to be reported.", *subject
        )


def _signing(session: Session) -> Iterator[Condition]:
    signing = get_signing(session)
    if signing.trouble is not None:
        yield Condition(Kind.SIGNING_STOPPED, signing.trouble)
    elif signing.oldest_at is not None and clock.now() - signing.oldest_at >= policy.UNSIGNED_AFTER:
        waiting = plural(signing.waiting, "entry waits", "entries wait")
        yield Condition(
            Kind.SIGNING_STOPPED,
            f"{waiting} for a signature, the first since {instant(signing.oldest_at)}.",
        )


def _outbox(session: Session) -> Iterator[Condition]:
    outbox = get_outbox(session)
    if policy.is_outbox_stuck(outbox, at=clock.now()):
        sent = f"the last left {instant(outbox.sent_at)}" if outbox.sent_at else "none has left"
        waiting = plural(outbox.waiting, "mail waits", "mails wait")
        yield Condition(Kind.OUTBOX_STUCK, f"{waiting}, and {sent}.")


def _failing(session: Session) -> Iterator[Condition]:
    for job in list_failing_jobs(session):
        if clock.now() - job.since >= policy.JOB_AFTER:
            yield Condition(
                Kind.JOB_FAILING, f"{job.text} Since {instant(job.since)}.", job.name, job.name
            )


def list_failing_jobs(session: Session) -> list[FailingJob]:
    """The jobs whose last run raised, as far as somebody still runs them."""
    fresh = FailingJob.failed_at >= clock.now() - policy.STALE_AFTER
    return list(session.scalars(select(FailingJob).where(fresh).order_by(FailingJob.name)))


def get_signing(session: Session) -> Signing:
    """How far the log is signed."""
    head = session.execute(select(LogHead).execution_options(populate_existing=True)).scalar_one()
    count, first = session.execute(
        select(func.count(), func.min(LogEntry.at)).where(LogEntry.seq >= head.size)
    ).one()
    return Signing(
        size=head.size,
        waiting=count,
        oldest_at=None if first is None else datetime.fromtimestamp(first, UTC),
        trouble=head.trouble,
        trouble_kind=None if head.trouble_kind is None else head.trouble_kind.value,
    )


def get_outbox(session: Session) -> Outbox:
    """How mail stands. Mails about alerts are no sign that it leaves, or theirs would end the alert.

    Nor that it does not: one dead address among the staff would open it again with each of them.
    """
    other = Mail.event.not_like(f"{EVENT}%")
    sent_at = session.scalar(
        select(Mail.sent_at)
        .where(Mail.sent_at.is_not(None), other)
        .order_by(Mail.sent_at.desc())
        .limit(1)
    )
    unsent = (Mail.sent_at.is_(None), Mail.attempts < ATTEMPTS_MAX)
    waiting, oldest_at = session.execute(
        select(func.count(), func.min(Mail.created_at)).where(*unsent)
    ).one()
    untried = select(func.min(Mail.next_try_at)).where(*unsent, other, Mail.attempts == 0)
    tried = select(func.min(Mail.created_at)).where(*unsent, other, Mail.attempts > 0)
    if sent_at is not None:
        tried = tried.where(Mail.created_at > sent_at)
    return Outbox(
        waiting=waiting,
        oldest_at=oldest_at,
        untried_since=session.scalar(untried),
        tried_since=session.scalar(tried),
        sent_at=sent_at,
    )


def count_given_up_mails(session: Session) -> int:
    """How many mails are tried no more."""
    query = select(func.count()).select_from(Mail)
    query = query.where(Mail.sent_at.is_(None), Mail.attempts >= ATTEMPTS_MAX)
    return session.scalar(query) or 0


def get_unacknowledged(session: Session) -> Unacknowledged:
    """Revocations that an enrolled gateway, silent ones included, does not hold by what it told.

    A gateway that never held a state cannot accept a key either: it does not count.
    """
    slowest = session.execute(
        select(Gateway.acknowledged, SyncCommit.committed_at, SyncAck.received_at)
        .outerjoin(SyncCommit, SyncCommit.revision == Gateway.acknowledged)
        .outerjoin(
            SyncAck,
            and_(SyncAck.gateway_id == Gateway.id, SyncAck.revision == Gateway.acknowledged),
        )
        .where(Gateway.removed_at.is_(None), Gateway.acknowledged.is_not(None))
        .order_by(Gateway.acknowledged)
        .limit(1)
    ).first()
    if slowest is None:
        return Unacknowledged(0, None)
    query = select(func.count(), func.min(ApiKey.revoked_at)).where(
        ApiKey.revoked_at <= clock.now() - UNACKNOWLEDGED_AFTER
    )
    if slowest.committed_at is None:
        # A new epoch has written every record anew: what it acknowledged before, it still holds.
        query = query.where(ApiKey.revoked_at > slowest.received_at)
    else:
        query = query.join(
            SyncRecord, and_(SyncRecord.kind == "key", SyncRecord.id == ApiKey.id)
        ).where(SyncRecord.revision > slowest.acknowledged)
    count, oldest_at = session.execute(query).one()
    return Unacknowledged(count, oldest_at)


def list_batches(session: Session) -> dict[str, int]:
    """How many batches of usage were taken of each gateway's present start, by its id."""
    return dict(session.execute(select(UsageCursor.gateway_id, UsageCursor.seq)).all())
