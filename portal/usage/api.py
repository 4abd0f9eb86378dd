"""`GET /api/v1/me/limits`: a program asks the portal how much its key has left; it costs no quota."""

import json

from flask import Blueprint, Response, request

from portal.core import clock
from portal.core.errors import PortalError
from portal.keys.api_shapes import Period
from portal.usage.errors import KeyNotTaken
from portal.usage.own_limits import find_key, own_limits
from portal.web import problems, throttle
from portal.web.openapi import Answer, Secret, operation
from portal.web.public import public
from portal.web.session import session, settings
from portal.web.shapes import Field, Instant, Many, OrNull, Text, Thing, Whole

AMOUNT = Whole(0, 2**53 - 1)
OWN_LIMIT = Thing(
    "OwnLimit",
    {
        "limit": Field(Text(), "Its name."),
        "metric": Field(Text()),
        "kind": Field(Text()),
        "period": Field(Period(), "Seconds, `month`, or null for concurrency."),
        "quota": Field(AMOUNT),
        "burst": Field(OrNull(AMOUNT), "Of a bucket; null for other kinds."),
        "used": Field(AMOUNT),
        "remaining": Field(AMOUNT),
        "resets_at": Field(Text(), "Where its kind is a window.", required=False),
        "full_at": Field(OrNull(Text()), "Where it is not; null: nobody knows.", required=False),
    },
)
ANNOUNCED = Thing(
    "AnnouncedLimit",
    {
        "limit": Field(Text()),
        "change": Field(Whole(1, 2**31)),
        "effective_at": Field(Instant()),
        "quota": Field(OrNull(AMOUNT), "null: the limit goes."),
        "burst": Field(OrNull(AMOUNT)),
    },
)
OWN_LIMITS = Thing(
    "OwnLimits",
    {
        "limits": Field(Many(OWN_LIMIT)),
        "announced": Field(Many(ANNOUNCED), "What will change of them.", required=False),
    },
)

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
    answers={200: Answer("Every limit that requests with the key meet.", OWN_LIMITS)},
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
