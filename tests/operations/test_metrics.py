"""`/metrics`: who may read it, and that it says what is so."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from prometheus_client.parser import text_string_to_metric_families

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.outbox import Message, queue_mail
from portal.factory import create_app, create_sync_app
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.operations.metrics import METRICS
from portal.orgs.models import Org
from portal.sync.commands import rebuild
from tests.support.factories import make_key
from tests.support.wire import Copy, Line, Wire, enrol

TOKEN = "a-token-of-the-operator-0123456789"
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def scrape(client):
    """The samples by name and labels in the order of their names, as a scraper reads them."""

    def act():
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.content_type.startswith("text/plain; version=")
        return {
            (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    return act


@pytest.fixture
def portal(settings, sessions):
    """A portal with other settings; returns its client."""

    def make(**values):
        return create_app(replace(settings, **values), sessions=sessions).test_client()

    return make


@pytest.fixture
def key(sessions, cast):
    with sessions() as session, transaction(session):
        return make_key(session, org=session.get_one(Org, cast.acme.id)).key.id


def revoke(sessions, cast, key):
    with sessions() as session, transaction(session):
        found = session.get_one(ApiKey, key)
        revoke_key(session, actor=cast.ada.actor, key=found, reason="leaked")


def test_each_documented_name_is_there_and_no_other(client, catalog, clock):
    families = {each.name for each in text_string_to_metric_families(client.get("/metrics").text)}

    # The parser takes the ending off a counter's family.
    assert families == {metric.name.removesuffix("_total") for metric in METRICS}


def test_a_gateway_is_told_by_what_it_reported(scrape, wire, catalog, clock):
    cursor = wire.pull(Copy()).cursor
    health = {"spool": 41, "parked": 2, "lag_ms": 250, "store_bytes": 9000, "log_size": 2}
    wire.report(cursor, health={**health, "log": "log_behind", "link": "diverged"})
    clock.advance(seconds=3)

    said = scrape()

    assert said["plimsoll_gateways", "connected"] == 1
    for name, value in {
        "silent_seconds": 3,
        "behind_revisions": 0,
        "acknowledged_revision": said[("plimsoll_sync_revision",)],
        "spool_rows": 41,
        "parked_batches": 2,
        "lag_seconds": 0.25,
        "store_bytes": 9000,
        "log_entries": 2,
        "diverged": 1,
    }.items():
        assert said[f"plimsoll_gateway_{name}", "gw-eu-1"] == value, name
    assert said["plimsoll_gateway_log_problem", "log_behind", "gw-eu-1"] == 1


def test_what_is_no_figure_is_left_out(scrape, wire, catalog, clock):
    wire.report(None, health={"spool": "many", "lag_ms": True})

    assert ("plimsoll_gateway_spool_rows", "gw-eu-1") not in scrape()


def test_a_name_with_quotes_and_lines_is_read_back(scrape, wire, catalog, clock):
    wire.report(None, health={"log": 'a "code"\nwith \\ marks'})

    assert scrape()["plimsoll_gateway_log_problem", 'a "code"\nwith \\ marks', "gw-eu-1"] == 1


def test_a_revocation_counts_until_each_gateway_holds_it(scrape, app, sessions, cast, key, clock):
    first, second = (Wire(app, enrol(sessions, name)) for name in ("gw-1", "gw-2"))
    enrol(sessions, "gw-new")
    copies = [wire.pull(Copy()) for wire in (first, second)]
    for wire, copy in zip((first, second), copies, strict=True):
        wire.report(copy.cursor)
    revoke(sessions, cast, key)
    assert scrape()[("plimsoll_revocations_unacknowledged",)] == 0, "not yet a second old"
    clock.advance(seconds=4)

    first.report(first.pull(copies[0]).cursor)
    said = scrape()
    assert said[("plimsoll_revocations_unacknowledged",)] == 1
    assert said[("plimsoll_revocations_unacknowledged_oldest_seconds",)] == 4
    second.report(second.pull(copies[1]).cursor)

    assert scrape()[("plimsoll_revocations_unacknowledged",)] == 0


def test_after_a_new_epoch_only_what_was_revoked_since_counts(
    scrape, wire, sessions, cast, key, clock
):
    revoke(sessions, cast, key)
    wire.report(wire.pull(Copy()).cursor)
    clock.advance(seconds=10)
    with sessions() as session, transaction(session):
        rebuild(session, actor=CLI)
        later = make_key(session, org=session.get_one(Org, cast.acme.id)).key.id
    assert scrape()[("plimsoll_revocations_unacknowledged",)] == 0

    revoke(sessions, cast, later)
    clock.advance(seconds=4)

    said = scrape()
    assert said[("plimsoll_revocations_unacknowledged",)] == 1
    assert said[("plimsoll_revocations_unacknowledged_oldest_seconds",)] == 4


def test_mail_log_usage_and_alerts_are_counted(scrape, sessions, app, catalog, clock, watched):
    wire = Wire(app, enrol(sessions, "gw-1"))
    Line(wire, clock).send()
    wire.report(None, health={"link": "diverged"})
    with sessions() as session, transaction(session):
        message = Message(to="eve@example.com", subject="Hello", text="Hello\n")
        queue_mail(session, message, event="one", person="usr_1")
    clock.advance(seconds=30)
    watched()

    said = scrape()

    assert said["plimsoll_usage_batches_total", "gw-1"] == 1
    assert said[("plimsoll_outbox_mails",)] == 1
    assert said[("plimsoll_outbox_oldest_seconds",)] == 30
    assert said[("plimsoll_log_signed_entries",)] == 2
    assert said[("plimsoll_log_unsigned_entries",)] == 0
    assert said["plimsoll_alert_open", "gateway_diverged", "gw-1"] == 1
    assert said[("plimsoll_jobs_looked_seconds",)] == 0


def test_an_open_stream_takes_a_place(scrape, wire, catalog):
    stream = wire.stream()
    next(stream)

    said = scrape()
    stream.close()

    assert said[("plimsoll_sync_watchers",)] == 1
    assert said[("plimsoll_sync_places",)] == 8
    assert scrape()[("plimsoll_sync_watchers",)] == 0


@SQLITE
@pytest.mark.parametrize(
    ("peer", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 404), ("", 404)]
)
def test_without_a_token_only_this_machine_may_read(portal, catalog, peer, status):
    answer = portal().get("/metrics", environ_base={"REMOTE_ADDR": peer})

    assert answer.status_code == status


@SQLITE
@pytest.mark.parametrize(
    ("trusted", "forwarded", "status"),
    [
        # A proxy of ours on this machine: the caller is who it says.
        (["127.0.0.1"], "203.0.113.9", 404),
        (["127.0.0.1"], "127.0.0.1, 203.0.113.9", 404),
        (["127.0.0.1"], "127.0.0.1", 200),
        # A proxy that nobody vouches for: whoever calls it is not this machine.
        ([], "203.0.113.9", 404),
        ([], "127.0.0.1", 404),
    ],
)
def test_behind_a_proxy_the_callers_own_address_counts(portal, catalog, trusted, forwarded, status):
    client = portal(trusted_proxies=tuple(map(ip_network, trusted)))

    assert client.get("/metrics", headers={"X-Forwarded-For": forwarded}).status_code == status


@SQLITE
def test_who_asks_a_silent_proxy_for_the_portal_by_its_name_is_not_let_in(portal, catalog):
    """The caller writes the Host: this keeps out the honest one. Proxies are known by what they add."""
    client = portal(url="https://portal.example")

    assert client.get("/metrics", headers={"Host": "portal.example"}).status_code == 404


@SQLITE
@pytest.mark.parametrize("trusted", [[], ["127.0.0.1"]])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Real-IP", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "unknown"),
        ("Forwarded", "for=203.0.113.9"),
        ("Via", "1.1 proxy"),
    ],
)
def test_a_caller_that_writes_this_machines_name_is_not_let_in_through_a_proxy(
    portal, catalog, trusted, name, value
):
    client = portal(
        url="https://portal.example", trusted_proxies=tuple(ip_network(each) for each in trusted)
    )

    answer = client.get("/metrics", headers={"Host": "localhost", name: value})

    assert answer.status_code == 404


@SQLITE
@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost", "localhost:5000"])
def test_in_production_a_scraper_asks_this_machine_by_its_own_name(portal, catalog, host):
    from portal.config import Env

    client = portal(env=Env.PRODUCTION, url="https://portal.example")

    assert client.get("/metrics", headers={"Host": host}).status_code == 200
    assert client.get("/login", headers={"Host": host}).status_code == 400, "but no page"


@SQLITE
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 404),
        ("Bearer ", 404),
        (f"Basic {TOKEN}", 404),
        ("Bearer ключ", 404),
        (None, 404),
    ],
)
def test_with_a_token_only_who_knows_it_may_read(portal, catalog, sent, status):
    headers = {} if sent is None else {"Authorization": sent.encode().decode("latin-1")}

    for peer in ("127.0.0.1", "203.0.113.9"):
        client = portal(metrics_token=TOKEN)
        answer = client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": peer})
        assert answer.status_code == status


def test_a_token_that_could_be_guessed_stops_the_start():
    from portal.config import BadSettings, Settings

    with pytest.raises(BadSettings, match="PORTAL_METRICS_TOKEN"):
        Settings.from_env({"PORTAL_METRICS_TOKEN": "short"})


@SQLITE
def test_no_cookie_helps_and_no_cache_keeps_it(client, cast):
    cast.sign_in(client, cast.root)

    peer = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/metrics", environ_base=peer).status_code == 404
    assert client.get("/metrics").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_processes_of_the_sync_api_alone_tell_of_their_own_places(settings, sessions, catalog):
    client = create_sync_app(replace(settings, sync_places=7), sessions=sessions).test_client()

    answer = client.get("/metrics")

    assert answer.status_code == 200
    assert "plimsoll_sync_places 7.0" in answer.text
    peer = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/metrics", environ_base=peer).status_code == 404
