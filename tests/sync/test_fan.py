"""The loop that holds all streams of a sync process, over real sockets; `test_processes` has it under gunicorn."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plimsoll.contract.records import Cursor
from portal.core import clock
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.orgs.models import Org
from portal.sync.commands import rebuild, remove_gateway
from portal.sync.fan import Fan, opened
from portal.sync.handover import HANDOVER, HandingOver
from portal.sync.hub import Head
from portal.sync.stream import Stay
from portal.sync.views import hub_of
from tests.support.factories import make_key
from tests.support.product import eventually
from tests.support.wire import Copy, Wire

MANY = 22
BUFFER_BYTES = 1  # the least that the system gives, which is less than MANY records
PATIENCE_SECONDS = 10


class Reader:
    """The far end of one stream, and the copy that it keeps."""

    def __init__(self, near: socket.socket, far: socket.socket, copy: Copy) -> None:
        self.near, self.far, self.copy = near, far, copy
        far.settimeout(PATIENCE_SECONDS)
        self._lines = far.makefile("rb")

    def hear(self, wanted: str) -> None:
        """Take lines up to and with the next of a kind."""
        while self.copy.take(next(self._lines)) != wanted:
            pass

    @property
    def is_over(self) -> bool:
        return self._lines.read() == b""


@pytest.fixture
def hub(app):
    made = hub_of(app)
    made.heartbeat_seconds = 0.5
    return made


@pytest.fixture
def fan(hub) -> Fan:
    return Fan(hub)


@pytest.fixture
def watch(hub, fan, wire: Wire, sessions, cast) -> Iterator[Callable[[], Reader]]:
    """Open a stream that stands where the state does."""
    sockets = []

    def watch() -> Reader:
        near, far = socket.socketpair()
        sockets.extend((near, far))
        near.settimeout(0)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        copy = wire.pull(Copy())
        stream = opened(
            near.fileno(), stay=Stay.begin(wire.token), is_chunked=False, leave=hub.enter()
        )
        near.close()
        fan.take(stream, Head.read(sessions))
        return Reader(near, far, copy)

    yield watch
    hub.stop()
    fan.wait(PATIENCE_SECONDS)
    for each in sockets:
        each.close()


def issue(sessions, cast, *, count: int = 1) -> None:
    with sessions() as session, transaction(session):
        for _ in range(count):
            make_key(session, org=session.get_one(Org, cast.acme.id), actor=cast.ada.actor)


def once(error: Exception, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, but for the first call."""
    errors = [error]

    def called(*values: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(*values, **named)

    return called


def test_every_stream_hears_each_change_and_heartbeats(watch, sessions, cast):
    readers = [watch() for _ in range(3)]

    issue(sessions, cast)

    for reader in readers:
        reader.hear("commit")  # its copy checks that the digest fits
        reader.hear("heartbeat")


def test_one_that_does_not_read_keeps_nobody_waiting_and_misses_nothing(hub, watch, sessions, cast):
    slow, quick = watch(), watch()

    issue(sessions, cast, count=MANY)
    quick.hear("commit")
    eventually(lambda: any(each.name == "sync-slow" for each in threading.enumerate()))
    issue(sessions, cast)
    quick.hear("commit")
    slow.hear("commit")
    while slow.copy.cursor != quick.copy.cursor:
        slow.hear("commit")

    assert slow.copy.records == quick.copy.records


def test_whoever_joins_late_is_brought_level(hub, watch, sessions, cast):
    first = watch()
    issue(sessions, cast)
    first.hear("commit")

    second = watch()
    issue(sessions, cast)
    second.hear("commit")
    first.hear("commit")

    assert first.copy.cursor == second.copy.cursor


def test_at_a_stop_all_hear_bye_and_give_their_places_back(hub, fan, watch):
    readers = [watch(), watch()]

    hub.stop()

    for reader in readers:
        reader.hear("bye")
        assert reader.copy.heard[-1]["reason"] == "deploy"
        assert reader.is_over
    fan.wait(PATIENCE_SECONDS)
    assert hub.watching == 0


def test_whose_token_is_refused_leaves_after_a_heartbeat(hub, watch, sessions):
    reader = watch()

    with sessions() as session, transaction(session):
        remove_gateway(session, actor=CLI, name="gw-1")
    reader.hear("bye")

    assert reader.is_over
    eventually(lambda: hub.watching == 0)


def test_whose_token_is_refused_leaves_even_if_it_is_never_done_when_a_heartbeat_is_due(
    hub, watch, sessions, cast
):
    slow = watch()
    issue(sessions, cast, count=MANY)
    eventually(lambda: any(each.name == "sync-slow" for each in threading.enumerate()))

    with sessions() as session, transaction(session):
        remove_gateway(session, actor=CLI, name="gw-1")
    time.sleep(2 * hub.heartbeat_seconds)
    known = Head.read(sessions)
    issue(sessions, cast)
    slow.hear("bye")

    assert slow.copy.heard[-1]["reason"] == "ask again"
    assert slow.copy.cursor == str(Cursor.at(known.epoch, known.revision, known.digest))
    assert slow.is_over


def test_a_new_epoch_sends_everyone_for_a_snapshot(watch, sessions):
    reader = watch()

    with sessions() as session, transaction(session):
        rebuild(session, actor=CLI)
    reader.hear("bye")

    assert reader.copy.heard[-1] == {
        "t": "bye",
        "retry_ms": [0, 0],
        "reason": "snapshot_required",
    }


def test_one_that_went_away_gives_its_place_back(hub, watch, sessions, cast):
    gone, other = watch(), watch()

    gone.far.close()
    gone._lines.close()
    issue(sessions, cast)
    other.hear("commit")

    eventually(lambda: hub.watching == 1)


def test_an_error_that_nobody_foresaw_ends_no_stream_and_shuts_nobody_out(
    hub, watch, sessions, cast, monkeypatch, caplog
):
    reader = watch()
    monkeypatch.setattr(hub, "batch", once(RuntimeError("unforeseen"), hub.batch))

    issue(sessions, cast)
    reader.hear("commit")
    reader.hear("heartbeat")
    watch().hear("heartbeat")

    assert "unforeseen" in caplog.text


def test_an_error_at_a_heartbeat_loses_no_stream(watch, monkeypatch):
    readers = [watch() for _ in range(3)]
    monkeypatch.setattr(clock, "timestamp", once(RuntimeError("unforeseen"), clock.timestamp))

    for reader in readers:
        reader.hear("heartbeat")


def test_a_connection_that_cannot_be_taken_over_gives_its_place_back(hub, fan, sessions, catalog):
    closed = socket.socket()
    closed.close()

    def answer(environ, start_response):
        start_response("200 OK", [])
        return environ[HANDOVER].accept(hub.enter(), "token")(Head.read(sessions))

    with pytest.raises(OSError, match="descriptor"):
        HandingOver(answer, fan)({"gunicorn.socket": closed}, lambda *_: list.append)

    assert hub.watching == 0
