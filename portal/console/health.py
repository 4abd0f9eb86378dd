"""Whether the process answers, and whether the portal can do its work (EXACT 36).

Here, since readiness looks at the database, the migrations and the public log at once. Trouble with
the log is no reason to take the portal out of service: it is shown to the staff instead.
"""

from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal.core import clock, migrations
from portal.transparency.errors import LogUnverified
from portal.transparency.queries import policy
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def alive() -> Response:
    return _plain("ok")


@bp.get("/readyz")
@public
def ready() -> Response:
    try:
        missing = _missing(session())
    except SQLAlchemyError:
        missing = "the database does not answer"
    return _plain(f"not ready: {missing}", status=503) if missing else _plain("ready")


def _missing(session: Session) -> str | None:
    """What keeps the portal from its work, in words."""
    if not migrations.is_current(session):
        return "the database is not migrated"
    try:
        changes = policy(session, clock.timestamp()).changes
    except LogUnverified:
        return None  # something was signed once; what became of it is for the staff to see
    return None if changes else "no limits are published yet"


def _plain(words: str, *, status: int = 200) -> Response:
    response = Response(f"{words}\n", status, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response
