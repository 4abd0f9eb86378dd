"""Sum at the portal = sum at the gateways minus spool, whatever happens in between."""

import random
import time
from collections import Counter

import orjson
import pytest
from sqlalchemy import func, select

from plimsoll import usage
from plimsoll.gateway import Gateway
from plimsoll.spool import Counts
from plimsoll.transport import LinkLost
from portal.core.db import make_engine, make_sessions, snapshot, transaction
from portal.orgs.models import Org
from portal.usage.jobs import keep
from portal.usage.models import MinutePack, RefusedHour, UsageDay, UsageMinute
from portal.usage.packing import unpack
from tests.support.factories import make_key, make_org
from tests.support.product import Product, eventually
from tests.support.wire import enrol
from tests.support.worlds import register_records

FAULTS = ("", "", "lost", "unanswered", "twice", "stale")


class BadLine:
    """Loses batches and answers, sends some twice, and now and then one from long ago."""

    def __init__(self, send, chance):
        self._send = send
        self._chance = chance
        self._old = []

    def __call__(self, body):
        fault = self._chance.choice(FAULTS)
        if fault == "lost":
            raise LinkLost(fault)
        if fault == "stale" and self._old:
            self._send(self._chance.choice(self._old))
        answer = self._send(body)
        self._old.append(body)
        if fault == "twice":
            answer = self._send(body)
        if fault == "unanswered":
            raise LinkLost(fault)
        return answer


class Site:
    """A gateway that is stopped and started again over one folder, and what it let pass and refused."""

    def __init__(self, folder, url, token, *, chance):
        self._options = {"portal_url": url, "token": token}
        self._folder = folder
        self._chance = chance
        self.counted = Counter()
        self.start()

    def start(self):
        self.gateway = Gateway(self._folder, **self._options).start()
        eventually(lambda: self.gateway.replica.is_ready)
        self._send = self.gateway.follower._portal.usage
        self.gateway.follower._portal.usage = BadLine(self._send, self._chance)

    def ask(self, secret):
        enforcer, asked = self.gateway.enforcer, self._chance.randrange(100)
        model = self._chance.choice(["fable-5", "fable-5", "unheard-of"])
        decision = enforcer.check(secret, model=model, input_tokens=asked, max_tokens=50)
        if decision.id:
            produced = self._chance.randrange(80)
            enforcer.settle(decision.id, output_tokens=produced)
            self.counted.update(requests=1, input_tokens=asked, output_tokens=produced)
        else:
            self.counted["refused"] += 1

    def step(self):
        self.gateway.enforcer.save()
        self.gateway.follower.sender.send_once()

    def spooled(self):
        """What waits in rows, and what is in the batch on its way, which may have been counted."""
        store = self.gateway.store
        waiting = [Counts(*row) for row in _all(store, "SELECT requests FROM usage")]
        (body,) = store.ask("SELECT body FROM batch WHERE code IS NULL") or (b'{"rows":[]}',)
        on_its_way = sum(row[2].get("requests", 0) for row in orjson.loads(body)["rows"])
        return sum(each.requests for each in waiting), on_its_way

    def drain(self):
        self.gateway.enforcer.save()
        self.gateway.follower._portal.usage = self._send
        sender = self.gateway.follower.sender
        while sender.spool.left or self.gateway.store.ask("SELECT 1 FROM batch"):
            sender.send_once()


def _all(store, query):
    with store.transaction() as connection:
        return connection.execute(query).fetchall()


def total(sessions):
    """Everything that the portal holds, rows and packs."""
    columns = ("requests", "input_tokens", "output_tokens", "refused")
    with sessions() as session, snapshot(session):  # batches come in between two statements
        sums = session.execute(
            select(*(func.sum(getattr(UsageMinute, column)) for column in columns))
        ).one()
        found = Counter({name: int(each or 0) for name, each in zip(columns, sums, strict=True)})
        for pack in session.scalars(select(MinutePack.counts)):
            for figures in unpack(pack).values():
                found.update(figures._asdict())
        days = session.scalar(select(func.sum(UsageDay.requests))) or 0
        refused = session.scalar(select(func.sum(RefusedHour.count))) or 0
    assert (days, refused) == (found["requests"], found["refused"])
    return found


def test_sums_agree_on_bad_lines_and_over_restarts(served, cast, sessions, tmp_path, monkeypatch):
    monkeypatch.setattr(usage.Sender, "start", lambda _: None)
    chance = random.Random(7)  # noqa: S311 -- the same every time
    with sessions() as session, transaction(session):
        secret = make_key(session, org=session.get_one(Org, cast.acme.id)).secret.text
    sites = [
        Site(tmp_path / name, served, enrol(sessions, name), chance=chance) for name in ("a", "b")
    ]

    for number in range(40):
        site = chance.choice(sites)
        for _ in range(chance.randrange(5)):
            site.ask(secret)
        site.step()
        if number % 20 == 9:
            site.gateway.close()
            site.start()
            keep(sessions)
    waiting, on_its_way = (
        sum(each) for each in zip(*(site.spooled() for site in sites), strict=True)
    )
    counted = sum((site.counted for site in sites), Counter())
    missing = counted["requests"] - total(sessions)["requests"]
    assert waiting <= missing <= waiting + on_its_way
    for site in sites:
        site.drain()

    assert total(sessions) == counted
    assert counted["refused"] > 0
    for site in sites:
        site.gateway.close()


@pytest.mark.long
@pytest.mark.processes
def test_sums_agree_after_kills_of_either_side(database, tmp_path):
    """Real processes, kill -9: of the gateway a second after its last call, of the portal at any instant."""
    product = Product(tmp_path / "product", database_url=database.url)
    try:
        _kill_and_compare(product, random.Random(3))  # noqa: S311 -- the same every time
    finally:
        product.close()


def _kill_and_compare(product, chance):
    portal, api = product.launch("portal"), product.launch("api")
    register_records()
    engine = make_engine(product.database_url)
    sessions = make_sessions(engine, strict=True)
    with sessions() as session, transaction(session):
        secret = make_key(session, org=make_org(session)).secret.text
    eventually(lambda: product.status(secret) == 200)
    statuses = Counter({200: 1})
    for number in range(6):
        for _ in range(12):
            statuses[product.status(secret)] += 1
            time.sleep(chance.random() / 10)
        if number % 2:
            portal.kill()
            statuses.update(product.status(secret) for _ in range(5))
            portal = product.launch("portal")
        else:
            # What is counted is saved each second; then it is killed with a batch written or on its way.
            time.sleep(1.2 + chance.random())
            api.kill()
            api = product.launch("api")
    wanted = (statuses[200], statuses[429])

    eventually(lambda: _sums(sessions) == wanted, seconds=40)
    time.sleep(3)
    assert _sums(sessions) == wanted
    assert sum(statuses.values()) == sum(wanted)
    engine.dispose()


def _sums(sessions):
    found = total(sessions)
    return found["requests"], found["refused"]
