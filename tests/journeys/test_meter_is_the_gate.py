"""What a gate refuses stands on the meter: nowhere does the page say 0 where the gate says no."""

import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete

from plimsoll import usage
from plimsoll.decision import Code
from plimsoll.gateway import Gateway
from portal.console.hearing import get_hearing
from portal.core.db import transaction
from portal.core.seal import SyncHead
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from portal.tiers.commands import assign_tier
from portal.usage.models import MeterCounter
from portal.usage.shown import get_meter
from tests.support.change_files import change_file, in_days
from tests.support.clocks import GatewayClock
from tests.support.factories import make_key
from tests.support.product import eventually
from tests.support.wire import enrol

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

MODEL = "opus-5"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
BUCKET = {"model": MODEL, "metric": "requests", "kind": "bucket", "period": 60}
ROWS = [
    {"tier": tier, "model": MODEL, "metric": metric, "kind": kind, "period": period, "quota": quota}
    for tier, times in (("start", 1), ("build", 2))
    for metric, kind, period, quota in (
        ("concurrent_requests", "concurrency", None, 3 * times),
        ("requests", "window", 3600, 20 * times),
        ("input_tokens", "bucket", 60, 900 * times),
    )
]


class Rig:
    """A portal, gateways that follow it for real, a key of Acme's, and one clock for all."""

    def __init__(self, url, sessions, cast, clock, folder):
        self.sessions, self.cast, self.clock = sessions, cast, clock
        self._url, self._folder = url, folder
        self.gateways = []
        with sessions() as session, transaction(session):
            made = make_key(session, org=session.get_one(Org, cast.acme.id), name="Billing")
        self.key_id, self.secret = made.key.id, made.secret.text

    def open(self, name):
        token = enrol(self.sessions, name)
        made = Gateway(
            self._folder / name, portal_url=self._url, token=token, clock=GatewayClock(self.clock)
        )
        self.gateways.append(made.start())
        eventually(self.is_heard, seconds=30)

    def is_heard(self):
        """Whether every gateway has the state, and has told the portal so."""
        with self.sessions() as session:
            return get_hearing(session).is_whole

    def ask(self, gateway, **asked):
        return gateway.enforcer.check(self.secret, **{"model": MODEL, "max_tokens": 1} | asked)

    def tell(self):
        """All that the gateways counted goes to the portal; each says then that nothing waits."""
        for gateway in self.gateways:
            gateway.enforcer.save()
            while gateway.follower.sender.spool.left:
                gateway.follower.sender.send_once()

    def lines(self):
        with self.sessions() as session:
            return {line.name: line for line in get_meter(session, self.cast.acme.id).lines}

    def write(self, act):
        """Change the organisation or its key, and wait until the gateways know."""
        with self.sessions() as session, transaction(session):
            act(session)
        with self.sessions() as session:
            head = session.get_one(SyncHead, 1).revision
        for gateway in self.gateways:
            eventually(lambda g=gateway: g.replica.head.revision >= head, seconds=10)

    def move(self, tier):
        def act(session):
            org = session.get_one(Org, self.cast.acme.id, with_for_update=True)
            assign_tier(session, actor=self.cast.root.actor, org=org, tier=tier, reason="A test.")

        self.write(act)

    def cap(self, quota):
        self.change("key", caps=[{**BUCKET, "quota": quota, "burst": quota}])

    def change(self, whose, **fields):
        model, its_id = (ApiKey, self.key_id) if whose == "key" else (Org, self.cast.acme.id)

        def act(session):
            row = session.get_one(model, its_id, with_for_update=True)
            for name, value in fields.items():
                setattr(row, name, value)

        self.write(act)

    def close(self):
        for gateway in self.gateways:
            gateway.close()


@pytest.fixture
def rig(served, sessions, cast, clock, tmp_path, publish, monkeypatch):
    # The test itself says when usage is sent.
    monkeypatch.setattr(usage.Sender, "start", lambda _: None)
    publish(change_file(rows=ROWS, effective_at=in_days(31)))
    clock.advance(days=32)
    made = Rig(served, sessions, cast, clock, tmp_path)
    made.open("gw-a")
    yield made
    made.close()


def refusing(decision):
    """The limits that said no, as the gate itself read them."""
    return [each for each in decision.limits if each.wait_ms]


def hold_against(rig, decision, asked):
    """What refused stands on the meter, as full as at the gate, and with no room for the request."""
    rig.tell()
    lines = rig.lines()
    for reading in refusing(decision):
        line = lines[reading.name]
        cost = asked.get("input_tokens", 0) if reading.metric == "input_tokens" else 1
        assert line.used >= reading.used > 0, reading.name
        assert line.used + cost > line.mark or len(rig.gateways) > 1, reading.name


class Walk:
    """What an organisation does, in any order; `refused` is how often each limit said no."""

    def __init__(self, rig, chance):
        self.rig, self.chance = rig, chance
        self.refused = Counter()
        self._open = []

    def go(self, steps):
        acts = [self.ask] * 8 + [self.settle, self.wait, self.wait, self.cap]
        for number in range(steps):
            if number == steps // 2:
                # What is used goes with it, under the other tier's limits.
                self.rig.move("build")
            self.chance.choice(acts)()

    def ask(self):
        gateway = self.chance.choice(self.rig.gateways)
        for _ in range(self.chance.randrange(1, 7)):
            asked = {"input_tokens": self.chance.randrange(700)}
            decision = self.rig.ask(gateway, **asked)
            if decision.code is Code.LIMIT_EXCEEDED:
                self.refused.update(reading.name for reading in refusing(decision))
                hold_against(self.rig, decision, asked)
            else:
                self._open.append((gateway, decision.id))

    def settle(self):
        for gateway, decision_id in self._open:
            gateway.enforcer.settle(decision_id, output_tokens=self.chance.randrange(50))
        self._open.clear()

    def wait(self):
        self.rig.clock.advance(seconds=self.chance.choice([1, 7, 40, 1800]))

    def cap(self):
        self.rig.cap(self.chance.choice([2, 5, 50]))


@on_sqlite
@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 8))]
)
def test_whatever_refuses_stands_on_the_meter(rig, seed):
    """Buckets, windows, requests in flight and caps, over moves to another tier and closed windows."""
    walk = Walk(rig, random.Random(seed))  # noqa: S311 -- the same every time

    walk.go(60)

    assert len(walk.refused) > 3, walk.refused


@pytest.mark.long
def test_of_several_gateways_none_refuses_what_the_meter_calls_empty(rig):
    rig.open("gw-b")

    walk = Walk(rig, random.Random(9))  # noqa: S311 -- the same every time

    walk.go(100)

    assert len(walk.refused) > 3, walk.refused


@on_sqlite
def test_a_gateway_that_is_lost_leaves_no_zero_behind(rig, visit, client, cast):
    """It refuses by counters that the portal has never heard of."""
    (gateway,) = rig.gateways
    gateway.follower.close()
    held = [rig.ask(gateway) for _ in range(4)]
    rig.clock.advance(minutes=2)
    cast.sign_in(client, cast.cleo)

    page = visit.get("/orgs/acme/usage")

    assert held[-1].code is Code.LIMIT_EXCEEDED
    assert " 0 of" not in page.text
    assert "Nothing" not in page.one(".page-header-lead").get_text()
    assert "These figures may be too low" in page.text


@on_sqlite
def test_a_cap_that_refuses_is_said_first_though_the_limit_has_room(rig, visit, client, cast):
    (gateway,) = rig.gateways
    rig.cap(2)
    decisions = [rig.ask(gateway) for _ in range(3)]
    rig.tell()
    cast.sign_in(client, cast.cleo)

    lead = visit.get("/orgs/acme/usage").one(".page-header-lead").get_text(" ", strip=True)

    assert [reading.name for reading in refusing(decisions[-1])] == [f"cap.{MODEL}.requests.1m"]
    assert lead.startswith("Cap of Billing")
    assert "is used up: 2 of 2 requests this minute" in lead


@on_sqlite
def test_the_page_of_a_key_says_what_is_left_of_its_caps(rig, visit, client, cast):
    (gateway,) = rig.gateways
    cast.sign_in(client, cast.cleo)
    page = f"/orgs/acme/keys/{rig.key_id}"
    rig.cap(50)
    shown = visit.get(page)
    unused = shown.one("[aria-labelledby=caps-now] .meter-text").get_text(" ", strip=True)

    for _ in range(3):
        rig.ask(gateway)
    rig.tell()
    used = visit.get(page).one("[aria-labelledby=caps-now] .meter-text").get_text(" ", strip=True)

    assert shown.one("[aria-labelledby=caps-now] h3").text == "Opus 5"
    assert unused == "0 of 50 requests this minute 50 left"
    assert used == "3 of 50 requests this minute 47 left"


@on_sqlite
@pytest.mark.parametrize(
    ("whose", "changes"),
    [
        ("key", {"paused_at": THEN}),
        ("key", {"revoked_at": THEN}),
        ("key", {"models": ["fable-5"]}),
        ("org", {"suspended_at": THEN}),
    ],
    ids=["paused", "revoked", "may not call the model", "suspended"],
)
def test_nothing_is_said_to_be_left_of_a_cap_where_the_key_is_refused_anyway(
    rig, visit, client, cast, whose, changes
):
    cast.sign_in(client, cast.cleo)
    page = f"/orgs/acme/keys/{rig.key_id}"
    rig.cap(50)
    assert visit.get(page).soup.select("[aria-labelledby=caps-now]")

    rig.change(whose, **changes)

    assert visit.get(page).soup.select("[aria-labelledby=caps-now]") == []


@on_sqlite
def test_a_refusal_tells_again_what_the_portal_has_lost(rig):
    """After a backup is restored there, a counter that stands still would else be missing for ever."""
    (gateway,) = rig.gateways
    rig.cap(2)
    for _ in range(2):
        rig.ask(gateway)
    rig.tell()
    with rig.sessions() as session, transaction(session):
        session.execute(delete(MeterCounter))

    refused = rig.ask(gateway)
    hold_against(rig, refused, {})

    assert refused.code is Code.LIMIT_EXCEEDED
