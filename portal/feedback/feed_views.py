"""The feeds of the board, for programs that follow it."""

from flask import Blueprint, Response

from portal.feedback.feeds import board_atom, thread_atom
from portal.feedback.views import NUMBER
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("feedback_feeds", __name__)

ATOM = "application/atom+xml; charset=utf-8"


@bp.get("/feedback.atom")
@public
def board() -> Response:
    return Response(board_atom(session(), url=settings().url), content_type=ATOM)


@bp.get(f"/feedback/{NUMBER}.atom")
@public
def thread(number: int) -> Response:
    return Response(thread_atom(session(), number, url=settings().url), content_type=ATOM)
