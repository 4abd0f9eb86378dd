"""Warnings before the wall: what an organisation wants to hear of, and when it was reached."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.limits import Kind
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Invalid
from portal.journal.commands import record
from portal.orgs.models import Org
from portal.orgs.policy import Permission, must_be_allowed
from portal.orgs.queries import role_of
from portal.usage.meter import Gauge
from portal.usage.models import AlertRules, UsageWarning

USUAL = (80, 95)
THRESHOLDS_MAX = 5
LISTED_MAX = 100
HOUR, DAY = 3600, 86_400


@dataclass(frozen=True)
class Alerts:
    """When to warn, in percent of a limit, lowest first; none: never. The portal shows what mail may tell, too."""

    thresholds: tuple[int, ...] = USUAL
    by_mail: bool = True


def get_alerts(session: Session, org_id: str) -> Alerts:
    """What an organisation has set, or what is usual."""
    row = session.get(AlertRules, org_id)
    return Alerts() if row is None else Alerts(tuple(row.thresholds), row.by_mail)


def set_alerts(session: Session, *, actor: Actor, org: Org, alerts: Alerts) -> None:
    """Say when the organisation, locked by the caller, wants to be warned. Raises Forbidden, Invalid."""
    must_be_allowed(role_of(session, actor, org.id), Permission.MANAGE_ALERTS)
    must_be_percentages(alerts.thresholds)
    before = get_alerts(session, org.id)
    alerts = Alerts(tuple(sorted(set(alerts.thresholds))), alerts.by_mail)
    if alerts == before:
        return
    row = session.get(AlertRules, org.id) or AlertRules(org_id=org.id)
    row.thresholds, row.by_mail = list(alerts.thresholds), alerts.by_mail
    session.add(row)
    details = {"before": _as_details(before), "after": _as_details(alerts)}
    record(session, actor, "org:alerts:changed", org_id=org.id, subject_id=org.id, **details)


def must_be_percentages(thresholds: Sequence[int]) -> None:
    """Raises Invalid."""
    if len(set(thresholds)) > THRESHOLDS_MAX:
        raise Invalid(f"Use at most {THRESHOLDS_MAX} percentages.", field="thresholds")
    if not all(1 <= each <= 100 for each in thresholds):  # noqa: PLR2004 -- percent
        raise Invalid("Use whole percentages from 1 to 100.", field="thresholds")


def _as_details(alerts: Alerts) -> dict[str, object]:
    return {"thresholds": list(alerts.thresholds), "by_mail": alerts.by_mail}


def window_end(gauge: Gauge, at: int) -> int:
    """Until when one warning of a threshold is enough: to the end of a window of an hour or longer.

    What comes back within minutes has no window worth the name: there it is the UTC day, or a busy
    hour would fill a mailbox.
    """
    period, end = gauge.limit.cell.period, gauge.resets_at
    is_long = period == "month" or (period is not None and period >= HOUR)
    if gauge.limit.cell.kind is Kind.WINDOW and is_long and end is not None:
        return end
    return at - at % DAY + DAY


def reached(gauge: Gauge, thresholds: Iterable[int]) -> list[int]:
    """The thresholds that a limit's use has reached, lowest first; of a limit that admits none, none."""
    if gauge.capacity <= 0 or gauge.used <= 0:
        return []
    return sorted(each for each in thresholds if gauge.used * 100 >= each * gauge.capacity)


def list_warnings(session: Session, org_id: str) -> list[UsageWarning]:
    """The newest warnings of an organisation that the caller may see."""
    query = select(UsageWarning).where(UsageWarning.org_id == org_id)
    query = query.order_by(UsageWarning.at.desc(), UsageWarning.id.desc())
    return list(session.scalars(query.limit(LISTED_MAX)))


def open_warnings(session: Session, org_id: str) -> list[UsageWarning]:
    """Of each limit the highest warning of the window that is open now, the fullest first."""
    query = select(UsageWarning).where(
        UsageWarning.org_id == org_id, UsageWarning.until > clock.timestamp()
    )
    highest: dict[str, UsageWarning] = {}
    for each in session.scalars(query.order_by(UsageWarning.threshold)):
        highest[each.name] = each
    return sorted(highest.values(), key=lambda each: (-each.threshold, each.name))
