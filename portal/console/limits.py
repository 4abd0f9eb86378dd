"""The limits page: the published table, and how gateways keep it, which only slices above it know."""

from flask import Blueprint, Response, request

from portal.accounts.login import viewer
from portal.changelog import queries
from portal.changelog.forms import PointInTimeForm
from portal.console.enforcement import get_enforcement
from portal.web import responses
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("limits", __name__)


@bp.get("/limits")
@public
def limits() -> Response:
    form = PointInTimeForm(request.args)
    answer = responses.page if form.validate() else responses.invalid
    person = viewer()
    page = queries.get_limits_page(
        session(),
        at=form.at.data,
        known_at=form.known_at.data,
        user_id=person.user_id if person else None,
    )
    return answer(
        "limits/limits.html",
        form=form,
        page=page,
        enforcement=get_enforcement(
            session(), change=page.since.number if page.since else None, since=page.since_at
        ),
    )
