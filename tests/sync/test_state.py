from itertools import takewhile

import pytest

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.sync import commands
from portal.sync.queries import list_gateways
from portal.sync.views import hub_of
from tests.support.factories import make_key
from tests.support.wire import Copy, Wire, enrol


def issue(sessions, cast):
    with sessions() as session, transaction(session):
        return make_key(session, org=session.get_one(Org, cast.acme.id), actor=cast.ada.actor).key


@pytest.fixture
def issued(sessions, cast):
    return issue(sessions, cast)


def revoke(sessions, cast, key_id):
    with sessions() as session, transaction(session):
        key = session.get_one(ApiKey, key_id, with_for_update=True)
        revoke_key(session, actor=cast.ada.actor, key=key, reason="Lost.")


def test_a_snapshot_holds_every_record_and_its_digest_fits(wire, issued, cast):
    copy = wire.pull(Copy())

    assert copy.of("key", issued.id)["state"] == "active"
    assert copy.of("org", cast.acme.id) == {"tier": "start", "state": "active", "grants": []}
    assert {kind for kind, _ in copy.records} == {"org", "key", "entry", "checkpoint"}


def test_no_record_on_the_wire_holds_a_tiers_limit(wire, issued):
    copy = wire.pull(Copy())

    texts = [data for (kind, _), data in copy.records.items() if kind in {"org", "key"}]
    assert all(b"quota" not in text for text in texts)


def test_a_delta_from_a_cursor_equals_a_fresh_snapshot(wire, sessions, issued, cast):
    copy = wire.pull(Copy())
    revoke(sessions, cast, issued.id)

    wire.pull(copy)

    assert copy.heard[-1]["t"] == "commit"
    assert copy.records == wire.pull(Copy()).records


def test_revoked_key_stays_in_the_next_snapshot_as_revoked(wire, sessions, issued, cast):
    revoke(sessions, cast, issued.id)

    assert wire.pull(Copy()).of("key", issued.id)["state"] == "revoked"


def test_an_open_stream_carries_a_revocation_as_its_next_batch(wire, sessions, issued, cast):
    copy = wire.pull(Copy())
    stream = wire.stream(copy.cursor)
    for _ in takewhile(lambda kind: kind != "commit", map(copy.take, stream)):
        pass

    revoke(sessions, cast, issued.id)
    kinds = [copy.take(next(stream)) for _ in range(2)]
    stream.close()

    assert kinds == ["put", "commit"]
    assert copy.of("key", issued.id)["state"] == "revoked"


def test_heartbeats_keep_an_idle_stream_alive_and_move_nothing(app, wire, issued):
    hub_of(app).heartbeat_seconds = 0.05
    copy = wire.pull(Copy())
    stream = wire.stream(copy.cursor)
    before = copy.cursor

    kinds = [copy.take(next(stream)) for _ in range(4)]
    stream.close()

    assert kinds == ["hello", "commit", "heartbeat", "heartbeat"]
    assert copy.cursor == before


def test_half_of_the_threads_watch_and_the_next_is_told_to_wait(app, wire, settings, catalog):
    streams = [wire.stream() for _ in range(settings.threads // 2)]
    for stream in streams:
        next(stream)

    refused = wire.get()

    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    for stream in streams:
        stream.close()
    assert wire.get().status_code == 200


def test_a_stream_can_be_compressed(wire, issued):
    response = wire.get(headers=wire.headers(**{"Accept-Encoding": "gzip"}))

    assert response.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("cursor", ["x", "1.2.3", "0" * 32, f"{'g' * 32}.1.00000000"])
def test_a_malformed_cursor_is_400(wire, catalog, cursor):
    response = wire.get(cursor=cursor)

    assert response.status_code == 400
    assert response.json["code"] == "cursor_malformed"


def test_a_cursor_of_another_epoch_needs_a_snapshot(wire, sessions, catalog):
    cursor = wire.pull(Copy()).cursor
    with sessions() as session, transaction(session):
        commands.rebuild(session, actor=CLI)

    response = wire.get(cursor=cursor)

    assert response.status_code == 409
    assert response.json["code"] == "snapshot_required"


def test_a_cursor_with_a_foreign_digest_needs_a_snapshot(wire, catalog):
    epoch, revision, digest = wire.pull(Copy()).cursor.split(".")
    foreign = f"{int(digest, 16) ^ 1:08x}"

    assert wire.get(cursor=f"{epoch}.{revision}.{foreign}").status_code == 409


def test_a_cursor_from_the_future_needs_a_snapshot(wire, catalog):
    epoch, revision, digest = wire.pull(Copy()).cursor.split(".")

    assert wire.get(cursor=f"{epoch}.{int(revision) + 1}.{digest}").status_code == 409


def test_a_rebuild_in_the_middle_of_a_stream_ends_it(wire, sessions, catalog):
    copy = Copy()
    stream = wire.stream(wire.pull(Copy()).cursor)
    next(stream), next(stream)
    with sessions() as session, transaction(session):
        commands.rebuild(session, actor=CLI)

    said = [copy.take(line) for line in stream]

    assert said == ["bye"]
    assert copy.heard[-1]["reason"] == "snapshot_required"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 426),
        ({"Sync-Version": "0"}, 426),
        ({"Sync-Version": "x"}, 426),
        ({"Sync-Version": "9" * 5000}, 426),
        # It is of a newer release than its portal.
        ({"Sync-Version": "2"}, 401),
        ({"Sync-Version": "1"}, 401),
        ({"Sync-Version": "1", "Authorization": "Bearer wrong"}, 401),
        ({"Sync-Version": "1", "Authorization": "Basic eDp5"}, 401),
        ({"Sync-Version": "1", "Authorization": "Bearer \xe9"}, 401),
    ],
)
def test_who_may_not_read_the_state_is_told_why(app, catalog, headers, status):
    response = Wire(app, "").get(headers=headers or {"X": "1"})

    assert response.status_code == status
    assert response.content_type == "application/problem+json"


def test_two_tokens_are_valid_at_once_for_a_day(app, wire, sessions, cast, clock):
    with sessions() as session, transaction(session):
        token = commands.rotate_token(session, actor=cast.root.actor, name="gw-1", brand="plim")

    assert wire.get().status_code == 200
    assert Wire(app, token).get().status_code == 200
    clock.advance(hours=24)
    assert wire.get().status_code == 401
    assert Wire(app, token).get().status_code == 200


def test_a_key_file_that_cannot_be_read_enrols_nobody(app, settings, sessions):
    """The token would be made and never shown."""
    (settings.data / "secrets").mkdir(parents=True, exist_ok=True)
    (settings.data / "secrets/log.key").write_text("no key", encoding="ascii")

    done = app.test_cli_runner().invoke(args=["gateways", "add", "gw-1"])

    assert done.exit_code == 1
    assert "takes nothing at the moment" in done.output
    with sessions() as session:
        assert list_gateways(session) == []


def test_enrolling_a_name_twice_is_refused(sessions, cast):
    enrol(sessions)

    with pytest.raises(commands.GatewayNameTaken):
        enrol(sessions)
