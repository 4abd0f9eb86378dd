"""`GET /api/v1/me/limits`: a program asks the portal how much its key has left; it costs no quota."""

import json

from flask import Blueprint, Response, request

from portal.core import clock
from portal.core.errors import PortalError
from portal.usage.errors import KeyNotTaken
from portal.usage.own_limits import find_key, own_limits
from portal.web import problems, throttle
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("usage_api", __name__, url_prefix="/api/v1")


@bp.errorhandler(KeyNotTaken)
def not_taken(error: PortalError) -> Response:
    response = problems.problem(error.status, error.code, error.public)
    response.headers["WWW-Authenticate"] = "Bearer"
    return _private(response)


@bp.get("/me/limits")
@public
def my_limits() -> Response:
    """No cookie plays a part: who asks is known by the key."""
    try:
        key = find_key(session(), _secret(), brand=settings().brand, ip=request.remote_addr)
    except KeyNotTaken:
        throttle.take("api_key", throttle.address())
        raise
    found = own_limits(session(), key)
    # In the order of fields that the check service has.
    body = json.dumps(found.to_json(clock.timestamp()))
    response = _private(Response(body, content_type="application/json"))
    if found.ahead:
        url = f"{settings().url}/changelog/{found.ahead.change}"
        response.headers["Link"] = f'<{url}>; rel="describedby"'
        # An RFC 9651 Item, as the gates send it (LIMITS 1).
        response.headers["Plimsoll-Limit-Change"] = (
            f"{found.ahead.change};effective=@{found.ahead.effective_at}"
            f';direction="{found.ahead.direction.value}"'
        )
    return response


def _secret() -> str | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return request.headers.get("x-api-key")


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
