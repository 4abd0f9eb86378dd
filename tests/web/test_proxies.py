"""Throttles and the journal know callers by address: nobody may write another's there."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from sqlalchemy import select

from portal.accounts.models import UserSession
from portal.factory import create_app
from portal.journal.models import Event
from portal.web.proxies import TrustedProxies

NETWORKS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.fixture
def caller():
    return TrustedProxies(lambda *_: [], NETWORKS).caller


@pytest.mark.parametrize(
    ("peer", "said", "found"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("", "198.51.100.7", ""),
        # What the caller wrote themselves stands on the left, whatever it pretends to be.
        ("10.0.0.1", "10.0.0.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "127.0.0.1,198.51.100.7,10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        # As some proxies write addresses.
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]:443, 10.0.0.2:80", "2001:db8::7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("10.0.0.1", "198.51.100.7, ", "10.0.0.1"),
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(caller, peer, said, found):
    assert caller(peer, said) == found


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_without_trusted_proxies_the_header_changes_nothing(client, journal, catalog):
    client.post("/signup", headers={"X-Forwarded-For": "198.51.100.7"})

    assert "198.51.100.7" not in {event.ip for event in journal()}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("said", "noted"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["203.0.113.66, 198.51.100.7, 127.0.0.2"], "198.51.100.7"),
        (["203.0.113.66", "198.51.100.7"], "198.51.100.7"),
    ],
)
def test_behind_a_trusted_proxy_journal_and_sessions_name_the_caller(
    settings, sessions, cast, compiled, said, noted
):
    """Also where the header comes twice: then the proxy's own stands last."""
    behind = replace(settings, trusted_proxies=(ip_network("127.0.0.0/8"),))
    app = create_app(behind, sessions=sessions)
    app.config["WTF_CSRF_ENABLED"] = False
    form = {"email": cast.ada.email, "password": cast.ada.password}
    headers = [("X-Forwarded-For", line) for line in said]
    forged = [("X-Real-IP", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")]

    app.test_client().post("/login", data=form, headers=[*headers, *forged])

    with sessions() as session:
        (row,) = session.scalars(select(UserSession).where(UserSession.ended_at.is_(None)))
        started = session.scalars(select(Event).where(Event.tag == "user:session:started")).one()
        assert (row.ip, started.ip) == (noted, noted)
