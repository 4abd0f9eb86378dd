"""`GET /api/v1/me/limits`: a program asks the portal how much its key has left; it costs no quota."""

import json
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field

from portal.core import clock
from portal.core.errors import PortalError
from portal.keys.api_shapes import Amount, Period
from portal.usage.errors import KeyNotTaken
from portal.usage.own_limits import find_key, own_limits
from portal.web import problems, throttle
from portal.web.openapi import Answer, Secret, operation
from portal.web.public import public
from portal.web.session import session, settings
from portal.web.shapes import Instant, Shape


class OwnLimit(Shape):
    """A limit that requests with the key meet, and what is used of it."""

    limit: str = Field(description="Its name.")
    metric: str
    kind: str
    period: Period
    quota: Amount
    burst: Amount | None = Field(description="Of a bucket; null for other kinds.")
    used: Amount
    remaining: Amount
    resets_at: str = Field("", description="Where its kind is a window.")
    full_at: str | None = Field(None, description="Where it is not; null: nobody knows.")


class AnnouncedLimit(Shape):
    """What a limit will be."""

    limit: str
    change: Annotated[int, Field(ge=1, le=2**31)]
    effective_at: Instant
    quota: Amount | None = Field(description="null: the limit goes.")
    burst: Amount | None


class OwnLimits(Shape):
    """Every limit that requests with the key meet."""

    limits: list[OwnLimit]
    announced: list[AnnouncedLimit] = Field([], description="What will change of them.")


bp = Blueprint("usage_api", __name__, url_prefix="/api/v1")


@bp.errorhandler(KeyNotTaken)
def not_taken(error: PortalError) -> Response:
    response = problems.problem(error.status, error.code, error.public)
    response.headers["WWW-Authenticate"] = "Bearer"
    return _private(response)


@bp.get("/me/limits")
@operation(
    summary="What a key has left",
    about="It costs no quota. `Link` and `Plimsoll-Limit-Change` tell of a tightening ahead.",
    asks=Secret.KEY,
    answers={200: Answer("Every limit that requests with the key meet.", OwnLimits)},
)
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
