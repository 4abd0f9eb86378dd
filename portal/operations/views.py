"""`/metrics`, for a scraper on this machine, or for one that knows the token.

With a token set nothing else counts. Without one, what comes from this machine is let in, which a proxy
on it does, too: so nothing that proxies add may be there unless a trusted one says who called. The caller
must also ask for this machine by name, which stops the honest one behind a proxy that adds nothing.
"""

import hmac
from ipaddress import ip_address

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from portal.core.db import snapshot
from portal.core.errors import NotFound
from portal.operations import metrics
from portal.web.proxies import UNBELIEVED
from portal.web.public import public
from portal.web.security import is_loopback_host
from portal.web.session import extension, session, settings

bp = Blueprint("operations", __name__)


@bp.get("/metrics")
@public
def show() -> Response:
    if not _is_welcome():
        raise NotFound
    with snapshot(session()):
        text = metrics.as_text(session(), extension("hub"))
    response = Response(text, content_type=CONTENT_TYPE_LATEST)
    response.headers["Cache-Control"] = "no-store"
    return response


def _is_welcome() -> bool:
    token = settings().metrics_token
    if token:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
    return (
        is_loopback_host(request.host)
        and _is_loopback(request.remote_addr or "")
        and not request.environ.get(UNBELIEVED)
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
