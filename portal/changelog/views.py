import hashlib

from flask import Blueprint, Response, request

from portal.changelog import queries
from portal.changelog.forms import PointInTimeForm
from portal.changelog.table import make_document
from portal.core import clock
from portal.core.errors import Invalid
from portal.web import responses
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("changelog", __name__)

MAX_AGE_SECONDS = 60
# Above any number of changes, below what an integer column takes.
NUMBER = "<int(max=999999999):number>"


@bp.get("/limits.json")
@public
def limits_document() -> Response:
    form = PointInTimeForm(request.args)
    if not form.validate():
        raise Invalid(" ".join(form.at.errors), field="at")
    log, now = queries.get_document_source(session()), clock.timestamp()
    at = now if form.at.data is None else form.at.data
    body = make_document(log, at)
    return _document(body, seconds=(log.next_step(now) or now + MAX_AGE_SECONDS) - now)


def _document(body: bytes, *, seconds: int) -> Response:
    """A document that every page may read, kept no longer than to the next effective instant."""
    response = Response(body, content_type="application/json")
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = f"public, max-age={min(seconds, MAX_AGE_SECONDS)}"
    response.set_etag(hashlib.sha256(body).hexdigest())
    response.make_conditional(request)
    return response


@bp.get("/changelog")
@public
def changes() -> Response:
    return responses.page("changelog/changes.html", changes=queries.list_changes(session()))


@bp.get(f"/changelog/{NUMBER}")
@public
def change(number: int) -> Response:
    page = queries.get_change_page(session(), number)
    return responses.page("changelog/change.html", page=page)


@bp.get(f"/changelog/{NUMBER}.md")
@public
def reason(number: int) -> Response:
    """The reason to the byte: its SHA-256 stands in the log (EXACT 16)."""
    return Response(
        queries.get_reason(session(), number), content_type="text/markdown; charset=utf-8"
    )
