"""The wire gets a new version under gateways that hold a copy of the old one: no false deny."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from plimsoll.gateway import Gateway
from plimsoll.sync import Link
from portal.core.db import transaction
from portal.factory import create_app
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.serve import Server
from portal.sync import commands, wire
from tests.support.factories import make_key
from tests.support.gateways import Followed
from tests.support.product import eventually, free_port
from tests.support.wire import enrol

NEXT = commands.WIRE_VERSION + 1
# What an active key hears; so many calls may come to a limit on a slow machine.
ACTIVE = {"allowed", "limit_exceeded"}


@pytest.fixture
def key(sessions, cast):
    """A key of Acme's that is active all the time."""
    return issue(sessions, cast)


def issue(sessions, cast):
    with sessions() as session, transaction(session):
        issued = make_key(session, org=session.get_one(Org, cast.acme.id), actor=cast.ada.actor)
        return issued.key.id, issued.secret.text


def revoke(sessions, cast, key_id) -> None:
    with sessions() as session, transaction(session):
        revoke_key(
            session, actor=cast.ada.actor, key=session.get_one(ApiKey, key_id), reason="Old."
        )


@contextmanager
def portal(settings, sessions, port: int) -> Iterator[None]:
    """A portal's process, as far as gateways can tell."""
    server = Server(
        create_app(settings, sessions=sessions), host="127.0.0.1", port=port, threads=16
    )
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextmanager
def asked_all_the_time(gateway: Gateway, secret: str) -> Iterator[Counter[str]]:
    """What the gateway answers to calls with one key, one after the other, until the end."""
    codes: Counter[str] = Counter()
    followed, over = Followed(gateway), threading.Event()

    def ask() -> None:
        while not over.wait(0.001):
            codes[followed.code(secret)] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield codes
    finally:
        over.set()
        thread.join()


def upgrade(app) -> None:
    done = app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert done.exit_code == 0, done.output


def is_level(gateway: Gateway, sessions) -> bool:
    with sessions() as session:
        head = commands.get_head(session)
    mine = gateway.replica.head
    return mine is not None and (mine.epoch, mine.revision) == (head.epoch, head.revision)


def hears_of_a_key(gateway: Gateway, sessions, cast) -> bool:
    """Whether one issued now becomes usable there, and one revoked refused."""
    (late, secret), followed = issue(sessions, cast), Followed(gateway)
    followed.comes_to(secret, "allowed")
    revoke(sessions, cast, late)
    return followed.comes_to(secret, "key_revoked")


@pytest.mark.long
@pytest.mark.parametrize("is_stopped", [True, False], ids=["stopped", "running"])
def test_a_new_version_of_the_wire_is_a_new_epoch_and_refuses_no_active_key(
    app, settings, sessions, cast, key, tmp_path, monkeypatch, is_stopped
):
    """With the portal stopped for the upgrade, and with one that runs on beside it."""
    port, old = free_port(), issue(sessions, cast)
    revoke(sessions, cast, old[0])
    url, token = f"http://127.0.0.1:{port}", enrol(sessions)
    with (
        ExitStack() as first,
        ExitStack() as second,
        Gateway(tmp_path / "gw-1", portal_url=url, token=token) as gateway,
    ):
        first.enter_context(portal(settings, sessions, port))
        eventually(lambda: is_level(gateway, sessions))
        before = gateway.replica.head.cursor
        with asked_all_the_time(gateway, key[1]) as codes:
            if is_stopped:
                first.close()

            monkeypatch.setattr(commands, "WIRE_VERSION", NEXT)
            upgrade(app)

            if is_stopped:
                second.enter_context(portal(settings, sessions, port))
            eventually(lambda: is_level(gateway, sessions), seconds=30)
            assert hears_of_a_key(gateway, sessions, cast)

        assert set(codes) <= ACTIVE
        assert codes["allowed"] > 20
        assert gateway.replica.head.cursor.split(".")[0] != before.split(".")[0]
        assert Followed(gateway).code(old[1]) == "key_revoked"
    checked = app.test_cli_runner().invoke(args=["sync", "check"])
    assert checked.exit_code == 0, checked.output


@pytest.mark.long
def test_a_gateway_started_on_a_copy_of_the_old_epoch_serves_it_until_it_has_the_new_one(
    app, settings, sessions, cast, key, tmp_path, monkeypatch
):
    port = free_port()
    url, token = f"http://127.0.0.1:{port}", enrol(sessions)
    with (
        portal(settings, sessions, port),
        Gateway(tmp_path / "gw-1", portal_url=url, token=token) as gateway,
    ):
        eventually(lambda: is_level(gateway, sessions))
    monkeypatch.setattr(commands, "WIRE_VERSION", NEXT)
    upgrade(app)

    with Gateway(tmp_path / "gw-1", portal_url=url, token=token) as gateway:
        with asked_all_the_time(gateway, key[1]) as codes:
            eventually(lambda: codes["allowed"] > 5)
            with portal(settings, sessions, port):
                eventually(lambda: is_level(gateway, sessions), seconds=30)
        assert set(codes) <= ACTIVE


def test_an_upgrade_without_a_new_version_leaves_the_epoch(app, sessions, key):
    with sessions() as session:
        before = commands.get_head(session).epoch

    upgrade(app)

    with sessions() as session:
        assert commands.get_head(session).epoch == before


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_gateway_that_is_too_old_serves_on_and_says_so_and_follows_once_upgraded(
    app, settings, sessions, cast, key, tmp_path, monkeypatch, caplog
):
    port = free_port()
    url, token = f"http://127.0.0.1:{port}", enrol(sessions)
    with (
        portal(settings, sessions, port),
        Gateway(tmp_path / "gw-1", portal_url=url, token=token) as old,
    ):
        eventually(lambda: is_level(old, sessions))
        cursor = old.replica.head.cursor
        monkeypatch.setattr(commands, "WIRE_VERSION", NEXT)
        monkeypatch.setattr(wire, "WIRE_VERSION", NEXT)
        upgrade(app)

        eventually(lambda: old.follower.standing().link is Link.REFUSED)

        assert old.follower.standing().reason.startswith("426 Upgrade Required")
        assert "refuses this gateway's version (426" in caplog.text
        assert Followed(old).code(key[1]) == "allowed"
        assert old.replica.head.cursor == cursor
        eventually(lambda: old.follower.sender.spool.left)
        old.close()
        monkeypatch.setattr("plimsoll.transport.WIRE_VERSION", NEXT)
        with Gateway(tmp_path / "gw-1", portal_url=url, token=token) as new:
            with asked_all_the_time(new, key[1]) as codes:
                eventually(lambda: is_level(new, sessions) and codes)
            assert set(codes) <= ACTIVE
            eventually(lambda: not new.follower.sender.spool.left)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_gateway_that_is_newer_than_its_portal_follows_it(
    settings, sessions, cast, key, tmp_path, monkeypatch
):
    """Gateways are upgraded first: they read what an older portal sends."""
    port = free_port()
    monkeypatch.setattr("plimsoll.transport.WIRE_VERSION", NEXT)
    url, token = f"http://127.0.0.1:{port}", enrol(sessions)

    with (
        portal(settings, sessions, port),
        Gateway(tmp_path / "gw-1", portal_url=url, token=token) as gateway,
    ):
        eventually(lambda: is_level(gateway, sessions))

        assert Followed(gateway).code(key[1]) == "allowed"
