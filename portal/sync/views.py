import functools

from flask import Blueprint, Flask, Response, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from plimsoll.contract.records import Cursor
from portal.config import Settings
from portal.core import clock
from portal.core.db import Sessions, snapshot, transaction
from portal.sync import queries, wire
from portal.sync.errors import BadToken, SnapshotRequired, StreamsFull
from portal.sync.hub import Hub
from portal.sync.intake import Intake
from portal.sync.models import Gateway
from portal.sync.policy import counts_with_others
from portal.sync.snapshots import Snapshots
from portal.sync.stream import Start, gzipped, lines
from portal.usage.batch import read_batch
from portal.usage.commands import Source, take_batch
from portal.web import problems, throttle
from portal.web.public import public
from portal.web.security import csrf
from portal.web.session import extension, session, sessions

bp = Blueprint("sync", __name__, url_prefix="/sync/v1")
csrf.exempt(bp)  # no cookie plays a part here: the token is sent by hand


def install(app: Flask, *, settings: Settings, sessions: Sessions, places: int) -> None:
    """The routes, and one hub, intake and maker of snapshots each; so many may watch at once."""
    app.register_blueprint(bp)
    app.extensions["portal.hub"] = Hub(sessions, places=places)
    app.extensions["portal.intake"] = Intake(sessions)
    app.extensions["portal.snapshots"] = Snapshots(sessions, settings.data / "snapshots")


def hub_of(app: Flask) -> Hub:
    found: Hub = app.extensions["portal.hub"]
    return found


@bp.errorhandler(StreamsFull)
def streams_full(error: StreamsFull) -> Response:
    response = problems.problem(error.status, error.code, error.public)
    response.headers["Retry-After"] = str(error.retry_after)
    return response


@bp.get("/state")
@public
def state() -> Response:
    token = wire.read_token(request)
    _authenticate(token)
    is_open = request.args.get("stream") == "1"
    cursor = wire.read_cursor(request.args.get("cursor"))
    hub: Hub = extension("hub")
    leave = hub.enter()
    try:
        start = _start(cursor)
    except BaseException:
        leave()
        raise
    is_welcome = functools.partial(_is_welcome, sessions(), token)
    pieces = lines(hub, start, is_open=is_open, is_welcome=is_welcome)
    packed = request.accept_encodings["gzip"] > 0
    response = Response(gzipped(pieces) if packed else pieces, mimetype="application/x-ndjson")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Cache-Control"] = "no-store"
    # Not in the generator's `finally`: that never runs where nobody takes the first piece.
    response.call_on_close(leave)
    if start.snapshot:
        response.call_on_close(start.snapshot.close)
    return response


@bp.post("/report")
@public
def report() -> Response:
    gateway = _authenticate(wire.read_token(request))
    said = wire.read_report(request)
    intake: Intake = extension("intake")
    return jsonify(acknowledged=intake.take(gateway.id, said))


@bp.post("/usage")
@public
def usage() -> Response:
    gateway = _authenticate(wire.read_token(request))
    batch = read_batch(request.get_data(), now=clock.timestamp())
    source = Source(gateway.id, gateway.name, is_shared=counts_with_others(gateway.health))
    with transaction(session()):
        answer = take_batch(session(), source=source, batch=batch)
    response = jsonify(answer.said)
    response.status_code = answer.status
    return response


def _authenticate(token: str) -> Gateway:
    # In a session that ends here: who went on to wait with a connection in hand would keep it from
    # those waited for, and with thousands of gateways there are fewer connections than requests.
    with sessions()() as own:
        gateway = queries.find_gateway_by_token(own, token)
    if gateway is None:
        throttle.take("sync_token", throttle.address())
        raise BadToken
    return gateway


def _start(cursor: Cursor | None) -> Start:
    if cursor is None:
        made: Snapshots = extension("snapshots")
        whole = made.open()
        return Start(epoch=whole.head.epoch, since=0, head=whole.head.revision, snapshot=whole)
    with snapshot(session()):
        head = queries.get_head(session())
        if not queries.is_of_this_history(session(), head, cursor):
            raise SnapshotRequired
        return Start(epoch=head.epoch, since=cursor.revision, head=head.revision)


def _is_welcome(own_sessions: Sessions, token: str) -> bool:
    try:
        with own_sessions() as own:
            return queries.find_gateway_by_token(own, token) is not None
    except SQLAlchemyError:
        # No state can be read meanwhile; once the database answers again, the next heartbeat asks it.
        return True
