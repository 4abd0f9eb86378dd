"""One change with what was heard about it: changes do not know threads, so the page lives above both."""

from flask import Blueprint, Response

from portal.accounts.login import current_actor
from portal.changelog.change_page import get_change_page
from portal.feedback.heard import get_heard
from portal.web import responses
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("change_page", __name__)


@bp.get("/changelog/<int(max=999999999):number>")
@public
def change(number: int) -> Response:
    page = get_change_page(session(), number)
    heard = get_heard(session(), current_actor(), number)
    return responses.page("console/change.html", page=page, heard=heard)
