import functools
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, jsonify, request

from plimsoll.contract.records import Cursor
from portal.config import Settings
from portal.core import clock
from portal.core.db import Sessions, reading, transaction
from portal.sync import queries, stream, wire
from portal.sync.errors import BadToken, SnapshotRequired, StreamsFull
from portal.sync.handover import HANDOVER, Handover
from portal.sync.hub import Hub
from portal.sync.intake import Intake
from portal.sync.models import Gateway
from portal.sync.policy import counts_with_others
from portal.sync.snapshots import Snapshots
from portal.sync.stream import Start
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
        start = _start(cursor, at_least=wire.read_at_least(request.args.get("at_least")))
    except BaseException:
        leave()
        raise
    is_packed = request.accept_encodings["gzip"] > 0
    handover: Handover | None = None if is_packed else request.environ.get(HANDOVER)
    then: stream.Follow | None = None
    if is_open and handover:
        then = handover.accept(leave, token)
    elif is_open:
        then = functools.partial(stream.follow, hub=hub, token=token)
    response = _answer(stream.lines(hub, start, then=then), is_packed=is_packed)
    if not (is_open and handover):
        # Not in the generator's `finally`: that never runs where nobody takes the first piece.
        response.call_on_close(leave)
    if start.snapshot:
        response.call_on_close(start.snapshot.close)
    return response


def _answer(pieces: Iterator[bytes], *, is_packed: bool) -> Response:
    body = stream.gzipped(pieces) if is_packed else pieces
    response = Response(body, mimetype="application/x-ndjson")
    if is_packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Cache-Control"] = "no-store"
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
    # Its session has ended when this returns: who went on to wait with a connection in hand would keep
    # it from those waited for, and there are fewer connections than gateways.
    intake: Intake = extension("intake")
    gateway = intake.find(token)
    if gateway is None:
        throttle.take("sync_token", throttle.address())
        raise BadToken
    return gateway


def _start(cursor: Cursor | None, *, at_least: int) -> Start:
    if cursor is None:
        made: Snapshots = extension("snapshots")
        whole = made.open(at_least=at_least)
        return Start(epoch=whole.head.epoch, since=0, head=whole.head.revision, snapshot=whole)
    with reading(sessions()) as own:
        revision = queries.find_head_after(own, cursor)
    if revision is None:
        raise SnapshotRequired
    return Start(epoch=cursor.epoch, since=cursor.revision, head=revision)
