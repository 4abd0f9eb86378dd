from flask import Blueprint, Response

from portal.transparency.queries import find_fingerprint
from portal.web import responses
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("docs", __name__, url_prefix="/docs")


@bp.get("")
@public
def api() -> Response:
    here = settings()
    return responses.page(
        "docs/index.html", api_url=here.api_url, brand=here.brand, portal_url=here.url
    )


@bp.get("/gateway")
@public
def gateway() -> Response:
    return responses.page("docs/gateway.html", portal_url=settings().url)


@bp.get("/log")
@public
def log() -> Response:
    return responses.page(
        "docs/log.html", portal_url=settings().url, fingerprint=find_fingerprint(session())
    )
