"""What the board promises and how it keeps it, and the texts of decisions to the byte."""

from flask import Blueprint, Response

from portal.accounts.login import current_actor
from portal.core.errors import NotFound
from portal.feedback.clocks import ANSWER_WORKING_DAYS, DECISION_DAYS
from portal.feedback.models import Decision
from portal.feedback.promptness import get_promptness
from portal.feedback.queries import get_thread
from portal.feedback.steps import record_text
from portal.web import responses
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("feedback_records", __name__)


@bp.get("/feedback/clocks")
@public
def clocks() -> Response:
    return responses.page(
        "feedback/clocks.html",
        page=get_promptness(session()),
        answer_days=ANSWER_WORKING_DAYS,
        decision_days=DECISION_DAYS,
        threshold=settings().attention_threshold,
    )


@bp.get("/feedback/<int(max=999999999):number>/decisions/<decision>.md")
@public
def decision(number: int, decision: str) -> Response:
    """The text of a decision's record: its SHA-256 stands in the log. It never changes."""
    thread = get_thread(session(), current_actor(), number)
    found = session().get(Decision, decision)
    if found is None or found.thread_id != thread.id:
        raise NotFound
    return Response(record_text(found), content_type="text/markdown; charset=utf-8")
