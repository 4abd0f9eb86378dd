"""What is wrong with the portal or its gateways: what it means, and what to do."""

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from portal.accounts.login import require_admin
from portal.operations import queries
from portal.operations.advice import ADVICE, UNWATCHED, Advice
from portal.web import responses
from portal.web.filters import plural
from portal.web.session import session

bp = Blueprint("alerts", __name__, url_prefix="/admin/alerts")
bp.before_request(require_admin)


@dataclass(frozen=True)
class AlertShown:
    """An open alert. `text`: what was found, as it stands now."""

    kind: str
    name: str
    advice: Advice
    text: str
    since: datetime | None
    told: int = 0


@bp.get("")
def alerts() -> Response:
    shown = open_alerts(session())
    count = plural(len(shown), "alert is", "alerts are")
    return responses.page(
        "admin/alerts.html",
        alerts=shown,
        lead=f"{count} open." if shown else "All is well: nothing is open.",
        closed=queries.list_closed_alerts(session()),
        advice=ADVICE,
    )


def open_alerts(session: Session) -> list[AlertShown]:
    """What staff should act on, for this page and the others; the jobs first, since no row can say it of them."""
    now = {each.identity: each.text for each in queries.find_conditions(session)}
    shown = [
        AlertShown(
            alert.kind.value,
            alert.name,
            ADVICE[alert.kind],
            now.get((alert.kind, alert.subject), alert.text),
            alert.since,
            alert.told,
        )
        for alert in queries.list_told_alerts(session)
    ]
    if queries.is_watched(session):
        return shown
    looked_at = queries.get_watch(session).looked_at
    return [AlertShown("unwatched", "", UNWATCHED, UNWATCHED.when, looked_at), *shown]
