"""The job that warns: looks every few seconds at what the gateways told, and tells whom it concerns, once."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from plimsoll.contract.limits import Kind, Limit
from portal.accounts.models import User
from portal.core import clock
from portal.core.db import Sessions, transaction
from portal.core.ids import new_id
from portal.core.jobs import Job, paced
from portal.core.outbox import queue_mail
from portal.orgs.models import Membership, Org, Role
from portal.orgs.policy import Permission, may
from portal.transparency.queries import policy
from portal.usage import mails
from portal.usage.alerts import USUAL, get_alerts, reached, window_end
from portal.usage.meter import Gauge, meter
from portal.usage.meter import gauge as gauge_of
from portal.usage.models import AlertRules, MeterCounter, UsageWarning
from portal.usage.shown import load_line

# Each report of a gateway wakes the jobs.
LOOK_EVERY = timedelta(seconds=5)
TOLD = tuple(role for role in Role if may(role, Permission.MANAGE_ALERTS))


def jobs(sessions: Sessions, *, url: str) -> list[Job]:
    """The job that warns; `url` is the portal's, for links."""
    return [Job("usage warnings", paced(lambda: warn_all(sessions, url=url), every=LOOK_EVERY))]


def warn_all(sessions: Sessions, *, url: str) -> int:
    """One look at all organisations; returns how many warnings were written."""
    with sessions() as session:
        # Looked at without a transaction: a pass that finds nothing must not write.
        orgs = sorted(set(_orgs_above(session)))
    done = 0
    for org_id in orgs:
        with sessions() as session, transaction(session):
            done += _warn(session, org_id, url=url)
    return done


def _orgs_above(session: Session) -> Iterator[str]:
    """Organisations of which a counter stands above the last warning of it, by what gateways told."""
    in_force, asked = policy(session, clock.timestamp()), _thresholds(session)
    held = in_force.limits.values()
    capacities = {each.limit.cell.name: each.limit.capacity for each in held}
    known = {
        (each.org_id, each.name): each.threshold
        for each in session.scalars(_open().order_by(UsageWarning.threshold))
    }
    least = min((each for wanted in asked.values() for each in wanted), default=min(USUAL))
    # A burst may be below its quota; then it is what fills up.
    share = min((each.limit.capacity / (each.limit.quota or 1) for each in held), default=1)
    for org_id, name, used, quota in session.execute(
        _told(int(min(least, *USUAL) * min(share, 1)))
    ):
        capacity = capacities.get(name, quota)
        wanted = asked.get(org_id, USUAL)
        passed = [each for each in wanted if used * 100 >= each * capacity]
        if max(passed, default=0) > known.get((org_id, name), 0):
            yield org_id
    for org_id, each in _tightened(session, [each.limit for each in held]):
        passed = reached(each, asked.get(org_id, USUAL))
        if max(passed, default=0) > known.get((org_id, each.limit.cell.name), 0):
            yield org_id


def _tightened(session: Session, limits: Iterable[Limit]) -> Iterator[tuple[str, Gauge]]:
    """How full buckets are that have a lower quota than they were told under: they last longer."""
    by_name = {each.cell.name: each for each in limits if each.cell.kind is Kind.BUCKET}
    counters = MeterCounter.owner == MeterCounter.org_id, MeterCounter.used > 0
    told = select(MeterCounter.name, func.max(MeterCounter.quota)).where(*counters)
    highest = session.execute(told.group_by(MeterCounter.name))
    names = [name for name, quota in highest if name in by_name and quota > by_name[name].quota]
    found: dict[tuple[str, str], list[MeterCounter]] = defaultdict(list)
    if names:
        for each in session.scalars(
            select(MeterCounter).where(*counters, MeterCounter.name.in_(names))
        ):
            found[each.org_id, each.name].append(each)
    now = clock.timestamp()
    for (org_id, name), each_told in found.items():
        yield org_id, gauge_of(by_name[name], each_told, now)


def _told(percent: int) -> Select[str, str, int, int]:
    """The counters, added up as they were told, that stand at a percentage of a limit or above it."""
    now = clock.timestamp()
    is_in_flight = MeterCounter.full_at.is_(None) & MeterCounter.resets_at.is_(None)
    is_live = or_(MeterCounter.full_at > now, MeterCounter.resets_at > now, is_in_flight)
    alone = func.sum(case((MeterCounter.is_shared, 0), else_=MeterCounter.used))
    together = func.max(case((MeterCounter.is_shared, MeterCounter.used), else_=0))
    used, quota = alone + together, func.max(MeterCounter.quota)
    return (
        select(MeterCounter.org_id, MeterCounter.name, used, quota)
        .where(MeterCounter.owner == MeterCounter.org_id, MeterCounter.used > 0, is_live)
        .group_by(MeterCounter.org_id, MeterCounter.name)
        .having(used * 100 >= quota * percent)
    )


def _open() -> Select[UsageWarning]:
    return select(UsageWarning).where(UsageWarning.until > clock.timestamp())


def _thresholds(session: Session) -> dict[str, list[int]]:
    return {row.org_id: row.thresholds for row in session.scalars(select(AlertRules))}


def _warn(session: Session, org_id: str, *, url: str) -> int:
    """Write what was reached and not told in its window, and mail the highest of each limit."""
    now, alerts = clock.timestamp(), get_alerts(session, org_id)
    new: list[tuple[Gauge, UsageWarning]] = []
    for gauge in meter(session, org_id, now):
        written = [
            warning
            for threshold in reached(gauge, alerts.thresholds)
            if (warning := _write(session, org_id, gauge, threshold=threshold)) is not None
        ]
        # One report may pass several at once: who hears of 95 need not hear of 80.
        new += [(gauge, warning) for warning in written[-1:]]
    if new and alerts.by_mail:
        _mail(session, org_id, new, url=url)
    return len(new)


def _write(session: Session, org_id: str, gauge: Gauge, *, threshold: int) -> UsageWarning | None:
    """The warning, unless it was written before: the index decides between two processes."""
    now = clock.timestamp()
    values = {
        "id": new_id("wrn"),
        "org_id": org_id,
        "name": gauge.limit.cell.name,
        "threshold": threshold,
        "until": window_end(gauge, now),
        "used": gauge.used,
        "quota": gauge.capacity,
        "at": now,
    }
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = session.execute(
        insert(UsageWarning).values(values).on_conflict_do_nothing().returning(UsageWarning.id)
    )
    return UsageWarning(**values) if added.first() else None


def _mail(
    session: Session, org_id: str, new: list[tuple[Gauge, UsageWarning]], *, url: str
) -> None:
    org, in_force = session.get_one(Org, org_id), policy(session, clock.timestamp())
    people = select(User).join(Membership, Membership.user_id == User.id)
    people = people.where(Membership.org_id == org_id, Membership.role.in_(TOLD))
    lines = [mails.Reached(load_line(in_force, gauge), warning.threshold) for gauge, warning in new]
    page = f"{url}/orgs/{org.slug}/usage"
    for person in session.scalars(people.order_by(User.id)):
        message = mails.reached(to=person.email, org=org.name, lines=lines, url=page)
        queue_mail(session, message, event=_event(warning for _, warning in new), person=person.id)


def _event(warnings: Iterable[UsageWarning]) -> str:
    """The same for the same thresholds of the same windows, whoever writes them."""
    told = "\n".join(f"{each.name} {each.threshold} {each.until}" for each in warnings)
    return f"usage:{hashlib.sha256(told.encode()).hexdigest()}"
