"""Throttles and the journal know callers by address: nobody may write another's there."""

from ipaddress import ip_network

import pytest

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
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(caller, peer, said, found):
    assert caller(peer, said) == found


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_without_trusted_proxies_the_header_changes_nothing(client, journal, catalog):
    client.post("/signup", headers={"X-Forwarded-For": "198.51.100.7"})

    assert "198.51.100.7" not in {event.ip for event in journal()}
