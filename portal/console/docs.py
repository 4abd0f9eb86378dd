from pathlib import Path

from flask import Blueprint, Response

from plimsoll.contract import tokens
from portal.keys.models import Environment
from portal.keys.policy import GRACE_MAX_SECONDS, REMINDER_DAYS
from portal.operations.advice import ADVICE, UNWATCHED
from portal.operations.metrics import METRICS
from portal.transparency.queries import find_fingerprint
from portal.web import responses
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("docs", __name__, url_prefix="/docs")

# Nobody's key: its checksum stands beside it and not behind it, so that no scanner takes it for one.
EXAMPLE = "0" * tokens.BODY_LENGTH
_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@bp.get("")
@public
def api() -> Response:
    here = settings()
    return responses.page(
        "docs/index.html", api_url=here.api_url, brand=here.brand, portal_url=here.url
    )


@bp.get("/keys")
@public
def keys() -> Response:
    here = settings()
    prefix = f"{here.brand}_{Environment.LIVE.value}_"
    return responses.page(
        "docs/keys.html",
        brand=here.brand,
        portal_url=here.url,
        environments=[each.value for each in Environment],
        body_length=tokens.BODY_LENGTH,
        checksum_length=tokens.CHECKSUM_LENGTH,
        alphabet=tokens.ALPHABET,
        prefix=prefix,
        example=EXAMPLE,
        example_checksum=tokens.checksum(prefix + EXAMPLE),
        grace_days=GRACE_MAX_SECONDS // 86_400,
        notice_days=REMINDER_DAYS,
        takes_leaks=bool(here.leak_keys),
    )


@bp.get("/gateway")
@public
def gateway() -> Response:
    # The page shows the files that the tests run, so that they cannot differ.
    return responses.page(
        "docs/gateway.html",
        portal_url=settings().url,
        nginx=(_EXAMPLES / "nginx/plimsoll.conf").read_text(encoding="utf-8"),
        envoy=(_EXAMPLES / "envoy/envoy.yaml").read_text(encoding="utf-8"),
    )


@bp.get("/operating")
@public
def operating() -> Response:
    return responses.page(
        "docs/operating.html", advice=ADVICE, unwatched=UNWATCHED, metrics=METRICS
    )


@bp.get("/log")
@public
def log() -> Response:
    return responses.page(
        "docs/log.html", portal_url=settings().url, fingerprint=find_fingerprint(session())
    )
