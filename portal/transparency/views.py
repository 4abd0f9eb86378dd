from flask import Blueprint, Response, request, url_for

from portal.core.errors import NotFound, PortalError
from portal.transparency.queries import find_checkpoint, list_leaves, signed_log
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("transparency", __name__)

LINES_MAX = 1000
SEQ_DIGITS_MAX = 15


class BadRange(PortalError):
    status = 400
    code = "bad_range"


class NothingSigned(NotFound):
    code = "nothing_signed"
    public = "Nothing is signed yet."


@bp.get("/log/checkpoint")
@public
def checkpoint() -> Response:
    text = find_checkpoint(session())
    if text is None:
        raise NothingSigned
    return _open_to_all(Response(text, content_type="text/plain; charset=utf-8"))


@bp.get("/log/entries")
@public
def entries() -> Response:
    size = signed_log(session()).size
    start, stop = _position("from", default=0), min(_position("to", default=size), size)
    if start > stop:
        raise BadRange(f"`from` lies behind `to`, or behind the end: {size} entries are signed.")
    end = min(stop, start + LINES_MAX)
    leaves = list_leaves(session(), start=start, stop=end)
    body = "".join(f"{leaf}\n" for leaf in leaves)
    response = Response(body, content_type="application/x-ndjson; charset=utf-8")
    if end < stop:
        following = f"{url_for('transparency.entries')}?from={end}&to={stop}"
        response.headers["Link"] = f'<{following}>; rel="next"'
    return _open_to_all(response)


def _position(name: str, *, default: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= SEQ_DIGITS_MAX):
        raise BadRange(f"`{name}` is a whole number from 0.")
    return int(text)


def _open_to_all(response: Response) -> Response:
    """Anyone's page may read this, and any cache keep it that asks whether it is still the newest."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = "public, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
