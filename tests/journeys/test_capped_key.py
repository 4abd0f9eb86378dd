"""Caps, pauses and rotations at the real gateway: what one key may do, and what its successor has left."""

import pytest

from plimsoll.gateway import Gateway
from plimsoll.testing import ManualClock
from portal.core.db import transaction
from portal.keys.caps import remove_cap, set_cap
from portal.keys.commands import pause_key, resume_key
from portal.keys.models import ApiKey
from portal.keys.rotation import Rotation, rotate_key
from portal.orgs.models import Org
from portal.tiers.words import Identity
from tests.support.factories import make_key
from tests.support.product import eventually
from tests.support.wire import enrol

LIMIT = Identity("opus-5", "requests", "bucket", 60)


@pytest.fixture
def act(sessions, cast):
    """Do something to a key as Ada: `act(pause_key, key)`."""

    def do(command, key, **given):
        with sessions() as session, transaction(session):
            row = session.get_one(ApiKey, key.id, with_for_update=True)
            if command in {set_cap, rotate_key}:
                given["org"] = session.get_one(Org, cast.acme.id, with_for_update=True)
            return command(session, actor=cast.ada.actor, key=row, **given)

    return do


@pytest.fixture
def issue(sessions, cast, clock):
    def issue():
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            return make_key(session, org=org, actor=cast.ada.actor)

    return issue


@pytest.fixture
def gateway(served, sessions, tmp_path, clock):
    gateway_clock = ManualClock(clock.at.timestamp())
    token = enrol(sessions)
    with Gateway(tmp_path / "gw", portal_url=served, token=token, clock=gateway_clock) as opened:
        eventually(lambda: opened.replica.is_ready)
        opened.manual = gateway_clock
        yield opened


@pytest.fixture
def ask(gateway):
    def ask(issued):
        return gateway.enforcer.check(
            issued.secret.text, model="opus-5", input_tokens=1, max_tokens=1
        )

    return ask


def caps_of(decision):
    return [(each.name, each.quota) for each in decision.limits if each.name.startswith("cap.")]


def comes_to(ask, issued, code):
    return eventually(lambda: str(ask(issued).code) == code)


def test_a_cap_refuses_its_key_alone_and_a_rotation_gives_nothing_back(act, issue, gateway, ask):
    capped, free = issue(), issue()
    act(set_cap, capped.key, limit=LIMIT, quota=3)
    assert eventually(lambda: bool(caps_of(ask(capped))))
    gateway.manual.advance(60)  # what the asking used is room again

    codes = [str(ask(capped).code) for _ in range(4)]
    refused = ask(capped)
    successor = act(rotate_key, capped.key, brand="plim", rotation=Rotation(grace_seconds=3600))
    # Asking costs nothing while the gateway does not know it: the first other answer is the one that counts.
    first = eventually(lambda: (code := str(ask(successor).code)) != "key_unknown" and code)

    assert first == "limit_exceeded"
    assert codes == ["allowed", "allowed", "allowed", "limit_exceeded"]
    assert [each.name for each in refused.refusing] == ["cap.opus-5.requests.1m"]
    assert str(ask(free).code) == "allowed"
    act(remove_cap, successor.key, limit=LIMIT)
    assert comes_to(ask, successor, "allowed")
    assert str(ask(capped).code) == "limit_exceeded"


def test_the_old_secret_ends_with_its_grace_and_the_new_one_goes_on(act, issue, gateway, ask):
    old = issue()
    new = act(rotate_key, old.key, brand="plim", rotation=Rotation(grace_seconds=3600))
    assert comes_to(ask, new, "allowed")

    seen = []
    for seconds in (0, 3599, 1):
        gateway.manual.advance(seconds)
        seen.append((str(ask(old).code), str(ask(new).code)))

    assert seen == [("allowed", "allowed"), ("allowed", "allowed"), ("key_expired", "allowed")]


def test_a_paused_key_is_refused_until_it_is_resumed(act, issue, gateway, ask):
    issued = issue()
    assert comes_to(ask, issued, "allowed")

    act(pause_key, issued.key)
    assert comes_to(ask, issued, "key_paused")
    act(resume_key, issued.key)

    assert comes_to(ask, issued, "allowed")
