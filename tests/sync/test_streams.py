"""What holds for every open stream, whether a thread of its own serves it or one loop that serves all."""

import json
import socket
from collections.abc import Callable, Iterator
from itertools import takewhile

import pytest
from sqlalchemy.exc import OperationalError
from werkzeug.test import create_environ

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.sync.commands import remove_gateway
from portal.sync.fan import Fan
from portal.sync.handover import HandingOver
from portal.sync.views import hub_of
from tests.support.factories import make_key
from tests.support.wire import Copy, Wire

PATIENCE_SECONDS = 10
TOO_MANY = 300


@pytest.fixture
def hub(app):
    made = hub_of(app)
    made.heartbeat_seconds = 0.1
    return made


@pytest.fixture(params=["thread", "loop"])
def heard(request, app, hub, wire: Wire) -> Iterator[Callable[[], Iterator[str]]]:
    """Open a stream that stands where the state does: the kind of each line, as it comes."""
    fan, far = Fan(hub), []

    def heard() -> Iterator[str]:
        cursor = wire.pull(Copy()).cursor
        if request.param == "thread":
            lines = wire.stream(cursor)
        else:
            far.append(handed_over(HandingOver(app.wsgi_app, fan), wire, cursor))
            lines = far[-1].makefile("rb")
        return (json.loads(line)["t"] for line in lines)

    yield heard
    hub.stop()
    fan.wait(PATIENCE_SECONDS)
    for each in far:
        each.close()


def handed_over(serve: HandingOver, wire: Wire, cursor: str | None) -> socket.socket:
    """Ask as gunicorn has its application asked; returns the far end of the connection."""
    near, far = socket.socketpair()
    near.settimeout(0)
    far.settimeout(PATIENCE_SECONDS)
    environ = create_environ(
        "/sync/v1/state",
        query_string={"stream": "1", "cursor": cursor},
        headers=wire.headers(),
        environ_overrides={"gunicorn.socket": near, "SERVER_PROTOCOL": "HTTP/1.0"},
    )
    with near, pytest.raises(StopIteration):
        serve(environ, lambda *_: near.sendall)
    return far


def issue(sessions, cast):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        return make_key(session, org=org, actor=cast.ada.actor).key.id


def revoke(sessions, cast, key_id):
    with sessions() as session, transaction(session):
        key = session.get_one(ApiKey, key_id, with_for_update=True)
        revoke_key(session, actor=cast.ada.actor, key=key, reason="Lost.")


def remove(sessions):
    with sessions() as session, transaction(session):
        remove_gateway(session, actor=CLI, name="gw-1")


def rename(sessions, table, name):
    with sessions() as session, transaction(session):
        session.connection().exec_driver_sql(f"ALTER TABLE {table} RENAME TO {name}")


def take(stream, count):
    return [next(stream) for _ in range(count)]


def test_it_hears_heartbeats_and_what_is_committed(heard, sessions, cast):
    stream = heard()

    assert take(stream, 4) == ["hello", "commit", "heartbeat", "heartbeat"]
    issue(sessions, cast)
    assert "put" in takewhile(lambda kind: kind != "commit", stream)


def test_that_of_a_removed_gateway_ends_at_the_next_heartbeat(heard, wire, sessions, catalog):
    stream = heard()
    next(stream)

    remove(sessions)

    assert list(stream)[-1] == "bye"
    assert wire.get().status_code == 401


def test_that_of_a_removed_gateway_ends_however_fast_commits_follow_each_other(
    heard, sessions, cast
):
    """Its token is asked at every heartbeat, which commits must not put off."""
    stream = heard()
    next(stream)
    remove(sessions)

    said = []
    for kind in stream:
        said.append(kind)
        if kind == "commit" and len(said) < TOO_MANY:
            revoke(sessions, cast, issue(sessions, cast))

    assert said[-1] == "bye"
    assert len(said) < TOO_MANY


def test_it_outlives_a_database_that_does_not_know_tokens_for_a_while(heard, sessions, catalog):
    stream = heard()
    take(stream, 2)

    rename(sessions, "gateway_tokens", "away")
    said = take(stream, 3)
    rename(sessions, "away", "gateway_tokens")

    assert [*said, next(stream)] == ["heartbeat"] * 4


def test_it_outlives_a_state_that_cannot_be_read_for_a_while(
    heard, hub, sessions, cast, monkeypatch
):
    stream = heard()
    take(stream, 2)

    with monkeypatch.context() as patch:
        patch.setattr(hub, "batch", away)
        issue(sessions, cast)
        assert take(stream, 2) == ["heartbeat"] * 2

    assert "put" in takewhile(lambda kind: kind != "commit", stream)


def away(*_, **__):
    raise OperationalError("SELECT", {}, Exception("gone"))


def test_at_a_stop_it_hears_bye(heard, hub, catalog):
    stream = heard()
    take(stream, 2)

    hub.stop()

    assert list(stream)[-1] == "bye"
