"""What programs read: the limits, the feeds, the words of a change to the byte."""

import hashlib

from flask import Blueprint, Response, request

from portal.changelog import feeds, queries
from portal.changelog.change_page import get_reason
from portal.changelog.forms import PointInTimeForm
from portal.changelog.table import make_document
from portal.core import clock
from portal.core.errors import Invalid, NotFound
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("documents", __name__)

MAX_AGE_SECONDS = 60
VERSION_DIGITS_MAX = 9


@bp.get("/limits.json")
@public
def limits() -> Response:
    form = PointInTimeForm(request.args)
    if not form.validate():
        field, errors = next(iter(form.errors.items()))
        raise Invalid(" ".join(errors), field=field)
    now = clock.timestamp()
    found = queries.get_document(session(), at=form.at.data, known_at=form.known_at.data)
    seconds = MAX_AGE_SECONDS if found.next_at is None else found.next_at - now
    body = make_document(found.timeline, found.at)
    return _document(body, "application/json", seconds=seconds)


@bp.get("/changelog.json")
@public
def json_feed() -> Response:
    return _document(feeds.json_feed(_feed()), "application/feed+json")


@bp.get("/changelog.atom")
@public
def atom() -> Response:
    return _document(feeds.atom(_feed()), "application/atom+xml; charset=utf-8")


@bp.get("/changelog/<int(max=999999999):number>.md")
@public
def reason(number: int) -> Response:
    """The reason to the byte: its SHA-256 stands in the log (EXACT 16)."""
    version = request.args.get("v")
    if version is not None and not _is_number(version):
        raise NotFound
    text = get_reason(session(), number, None if version is None else int(version))
    return Response(text, content_type="text/markdown; charset=utf-8")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= VERSION_DIGITS_MAX


def _feed() -> feeds.Feed:
    return feeds.get_feed(session(), url=settings().url)


def _document(body: bytes, content_type: str, *, seconds: int = MAX_AGE_SECONDS) -> Response:
    """A document that every page may read, kept no longer than to the next effective instant."""
    response = Response(body, content_type=content_type)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = f"public, max-age={max(0, min(seconds, MAX_AGE_SECONDS))}"
    response.set_etag(hashlib.sha256(body).hexdigest())
    response.make_conditional(request)
    return response
