from flask import Blueprint, Response

from portal.accounts.login import require_admin
from portal.admin.alerts import open_alerts
from portal.sync.queries import count_local_gateways, get_head, list_gateways
from portal.web import responses
from portal.web.session import session

bp = Blueprint("gateways", __name__, url_prefix="/admin/gateways")
bp.before_request(require_admin)


@bp.get("")
def gateways() -> Response:
    return responses.page(
        "admin/gateways.html",
        alerts=open_alerts(session()),
        gateways=list_gateways(session()),
        head=get_head(session()),
        local_gateways=count_local_gateways(session()),
    )
