"""Where the person is signed in, and the ends of those sessions."""

from flask import Blueprint, Response, url_for

from portal.accounts import signed_in as sessions_of
from portal.accounts.login import current_actor, signed_in
from portal.accounts.queries import get_user
from portal.core.db import transaction
from portal.web import responses
from portal.web.filters import plural
from portal.web.forms import BaseForm
from portal.web.session import session

bp = Blueprint("sessions", __name__, url_prefix="/account/sessions")


@bp.get("")
def session_list() -> Response:
    person = signed_in()
    rows = sessions_of.list_sessions(
        session(), user_id=person.user_id, session_id=person.session_id
    )
    return responses.page("accounts/sessions.html", sessions=rows, form=BaseForm())


@bp.post("/<row>/end")
def end_session(row: str) -> Response:
    with transaction(session()):
        user = get_user(session(), signed_in().user_id)
        sessions_of.end_one(session(), actor=current_actor(), user=user, row_id=row)
    return _done("The session is ended: that browser is signed out.")


@bp.post("/end-others")
def end_others() -> Response:
    person = signed_in()
    with transaction(session()):
        user = get_user(session(), person.user_id)
        ended = sessions_of.end_others(
            session(), actor=current_actor(), user=user, session_id=person.session_id
        )
    said = "You were signed in nowhere else."
    if ended:
        said = f"{plural(ended, 'session is', 'sessions are')} ended. You are signed in only here."
    return _done(said)


def _done(message: str) -> Response:
    return responses.done(url_for("sessions.session_list"), message=message)
