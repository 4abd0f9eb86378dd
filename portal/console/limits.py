"""The limits page: the published table, and how gateways keep it, which only slices above it know."""

from flask import Blueprint, Response, request

from portal.accounts.login import viewer
from portal.changelog import queries
from portal.changelog.forms import PointInTimeForm
from portal.sync.queries import count_local_gateways
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
    user_id = person.user_id if person else None
    return answer(
        "limits/limits.html",
        form=form,
        page=queries.get_limits_page(session(), at=form.at.data, user_id=user_id),
        local_gateways=count_local_gateways(session()),
    )
