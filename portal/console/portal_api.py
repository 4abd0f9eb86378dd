"""The portal's own API: the document of what is installed, and its page for people."""

import json

from flask import Blueprint, Response

from portal.tokens.policy import SCOPE_WORDS, beginnings
from portal.web import responses
from portal.web.openapi import ABOUT_REFUSALS, BASE, document, operations
from portal.web.public import public
from portal.web.session import settings
from portal.web.throttle import RATES

bp = Blueprint("portal_api", __name__)

NAME = "Plimsoll portal"


@bp.get(f"{BASE}/openapi.json")
@public
def openapi() -> Response:
    """Made from the views at each call: what is in it is what is there."""
    text = json.dumps(document(url=settings().url, name=NAME), ensure_ascii=False, indent=2)
    response = Response(text + "\n", content_type="application/json")
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


@bp.get("/docs/api")
@public
def guide() -> Response:
    here = settings()
    personal, org = beginnings(here.brand)
    found = list(operations())
    asked = {operation.scope for _, _, operation in found}
    return responses.page(
        "docs/api.html",
        portal_url=here.url,
        base=BASE,
        operations=found,
        refusals=ABOUT_REFUSALS,
        scopes={scope.value: words for scope, words in SCOPE_WORDS.items()},
        idle=[scope.value for scope in SCOPE_WORDS if scope.value not in asked],
        personal=personal,
        organisation=org,
        rate=RATES["api"],
    )
