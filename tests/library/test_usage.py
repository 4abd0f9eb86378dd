"""What a gateway reports: counted as it decides, spooled with its counters, told exactly once."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from plimsoll import spool, usage
from plimsoll.spool import Counts, Metered, Spool
from plimsoll.store import Store
from plimsoll.testing import FakeKey, FakePortal, ManualClock
from plimsoll.testing_usage import FakeIngest
from plimsoll.transport import LinkLost
from portal.usage.batch import read_batch
from tests.library.rig import Rig, open_rig, rig_on, small_catalog

MINUTE_LIMIT = "build.m.requests.1m"
TOKEN_LIMIT = "build.m.output_tokens.1d"


@pytest.fixture
def portal(clock: ManualClock) -> FakePortal:
    made = FakePortal(clock=clock)
    tokens = {"metric": "output_tokens", "kind": "window", "period": 86_400, "quota": 10_000}
    made.publish(small_catalog({"quota": 3}, tokens))
    return made


@pytest.fixture
def key(portal: FakePortal) -> FakeKey:
    return portal.add_key(portal.add_org("build"))


def send(rig: Rig) -> None:
    """Save, and send until nothing waits; the follower's own thread does the same."""
    rig.enforcer.save()
    spool = rig.follower.sender.spool
    rig.wait(lambda: _is_sent(rig, spool), "everything is sent")


def _is_sent(rig: Rig, spool: Spool) -> bool:
    rig.follower.sender.send_once()
    return spool.next(int(rig.clock.now())) is None


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that sends is not started: tests send when they mean to."""
    monkeypatch.setattr(usage.Sender, "start", lambda _: None)


@pytest.fixture
def rig(portal: FakePortal, key: FakeKey, clock: ManualClock, tmp_path: Path) -> Iterator[Rig]:
    """A gateway that knows the key."""
    with rig_on(portal, clock, tmp_path / "state") as made:
        yield made


def ask(rig: Rig, key: FakeKey, **fields: Any) -> str:
    """One request: 7 tokens in, 50 reserved, 20 produced."""
    decision = rig.enforcer.check(key.secret, **{"model": "m", "input_tokens": 7} | fields)
    if decision.id:
        rig.enforcer.settle(decision.id, output_tokens=20)
    return str(decision.code)


def test_what_passed_and_what_was_refused_is_counted_net_of_settlement(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    codes = [ask(rig, key) for _ in range(5)]
    ask(rig, key, model="unheard-of")
    failed = rig.enforcer.check(key.secret, model=None, input_tokens=9)
    rig.enforcer.settle(failed.id, failed=True)

    send(rig)

    assert codes == ["allowed"] * 3 + ["limit_exceeded"] * 2
    assert portal.usage.total() == Counter(
        {
            "requests": 3,
            "input_tokens": 21,
            "output_tokens": 60,
            f"refused {MINUTE_LIMIT}": 2,
            "refused model_not_allowed": 1,
        }
    )
    (batch,) = portal.usage.batches
    minute = int(rig.clock.now()) // 60 * 60
    counts = {"requests": 3, "refused": {MINUTE_LIMIT: 2}, "input_tokens": 21, "output_tokens": 60}
    assert [key.id, "m", counts, minute] in batch["rows"]
    assert (batch["boot"], batch["seq"]) == (1, 1)


def test_a_later_settlement_is_counted_in_its_own_minute(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    decision = rig.enforcer.check(key.secret, model="m", input_tokens=7, max_tokens=100)
    send(rig)
    rig.clock.advance(60)

    rig.enforcer.settle(decision.id, output_tokens=30)
    send(rig)

    rows = [counts for batch in portal.usage.batches for _, _, counts, _ in batch["rows"]]
    assert rows == [
        {"requests": 1, "input_tokens": 7, "output_tokens": 100},
        {"output_tokens": -70},
    ]


def test_counters_are_reported_as_they_stand_and_only_when_they_changed(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    org = portal.fields("key", key.id)["org"]
    ask(rig, key)
    send(rig)
    now = int(rig.clock.now())

    assert portal.usage.counters() == {
        (org, MINUTE_LIMIT): {"used": 1, "quota": 3, "at": now, "full_at": now + 20},
        (org, TOKEN_LIMIT): {
            "used": 20,
            "quota": 10_000,
            "at": now,
            "resets_at": now - now % 86_400 + 86_400,
        },
    }
    ask(rig, key, model="unheard-of")
    send(rig)
    assert portal.usage.batches[-1]["counters"] == []


def test_a_counter_within_a_second_is_never_told_as_emptier_than_it_is(
    clock: ManualClock, tmp_path: Path
) -> None:
    """Told as of the second before, a bucket would have begun to empty before it was filled."""
    portal = FakePortal(clock=clock)
    portal.publish(small_catalog({"metric": "input_tokens", "quota": 1_000_000}))
    key = portal.add_key(portal.add_org("build"))
    with rig_on(portal, clock, tmp_path / "state") as rig:
        clock.advance(math.ceil(clock.now()) - clock.now() + 0.9)
        assert ask(rig, key, input_tokens=1_000_000) == "allowed"
        rig.enforcer.save()
        send(rig)
        told = next(iter(portal.usage.counters().values()))
        for _ in range(60):
            clock.advance(math.floor(clock.now()) + 1 - clock.now())
            left, whole = told["full_at"] - clock.now(), told["full_at"] - told["at"]
            gate = rig.enforcer.limits(key.secret).limits[0].used
            assert gate <= told["used"] * left / whole <= gate + 1_000_000 / 60


def test_a_limit_that_refuses_is_reported_as_full_whatever_was_lost(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    """The meter must never be empty where the gate refuses."""
    for _ in range(3):
        ask(rig, key)
    rig.enforcer.save()
    with rig.store.transaction() as connection:
        connection.execute("DELETE FROM metered")

    ask(rig, key)
    send(rig)

    org = portal.fields("key", key.id)["org"]
    assert portal.usage.counters()[org, MINUTE_LIMIT]["used"] == 3


def test_refusals_of_revoked_keys_count_and_those_of_strangers_belong_to_nobody(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    portal.revoke(key.id)
    rig.level()
    ask(rig, key)
    rig.enforcer.refusal(key.secret)
    rig.enforcer.limits(key.secret)
    rig.enforcer.check("plim_live_nobody")

    send(rig)

    assert portal.usage.total() == Counter({"refused key_revoked": 2})


def test_an_observing_gateway_reports_what_it_would_refuse(
    portal: FakePortal, clock: ManualClock, tmp_path: Path, key: FakeKey
) -> None:
    with rig_on(portal, clock, tmp_path / "observing", observe=True) as rig:
        for _ in range(4):
            rig.enforcer.refusal(key.secret)
            ask(rig, key)
        send(rig)

    assert portal.usage.total()[f"refused {MINUTE_LIMIT}"] == 1


def test_made_up_models_cost_a_bounded_number_of_rows(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    for number in range(100):
        ask(rig, key, model=f"made-up-{number}\x00\ud800" + "x" * 100)

    send(rig)

    names = {model for batch in portal.usage.batches for _, model, _, _ in batch["rows"]}
    assert len(names) == usage.ODD_MODELS_MAX + 1
    assert usage.OTHER_MODELS in names
    assert all(len(name) <= 64 and name.isprintable() for name in names)
    assert portal.usage.total()["refused model_not_allowed"] == 100


class Unreliable:
    """A line that loses requests and answers, and sends some twice."""

    def __init__(self, portal: FakePortal) -> None:
        self._portal = portal
        self.faults: list[str] = []

    def __call__(self, body: bytes) -> tuple[int, dict[str, Any]]:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "lost":
            raise LinkLost(fault)
        answer = self._portal.usage.take(body)
        if fault == "twice":
            answer = self._portal.usage.take(body)
        if fault == "unanswered":
            raise LinkLost(fault)
        return answer


def test_nothing_is_lost_or_counted_twice_on_a_bad_line_and_over_restarts(
    portal: FakePortal, clock: ManualClock, tmp_path: Path, key: FakeKey
) -> None:
    wanted = 0
    for faults in (["lost", "unanswered"], ["twice"], ["unanswered"], ["lost"], []):
        rig = open_rig(portal, clock, tmp_path / "state")
        rig.level()
        line = Unreliable(portal)
        rig.follower._portal.usage = line  # type: ignore[method-assign]
        line.faults = faults
        for _ in range(2):
            ask(rig, key)
            wanted += 1
            clock.advance(60)
            rig.enforcer.save()
            rig.follower.sender.send_once()
        rig.stop()
    rig = open_rig(portal, clock, tmp_path / "state")
    send(rig)
    rig.stop()

    assert portal.usage.total()["requests"] == wanted
    assert portal.usage.boot > 1


def test_a_batch_is_sent_again_byte_for_byte_though_more_was_counted(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    ask(rig, key)
    rig.enforcer.save()
    first = rig.follower.sender.spool.next(0)
    ask(rig, key)
    rig.enforcer.save()

    again = rig.follower.sender.spool.next(0)

    assert again == first
    send(rig)
    assert [batch["seq"] for batch in portal.usage.batches] == [1, 2]


def test_after_a_gap_or_an_older_boot_it_goes_on_where_the_portal_says(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    portal.usage.boot, portal.usage.seq = 18, 4000
    ask(rig, key)
    send(rig)
    assert [(batch["boot"], batch["seq"]) for batch in portal.usage.batches] == [(19, 1)]
    assert rig.store.boot == 19

    portal.usage.seq = 0
    ask(rig, key)
    send(rig)

    assert [(batch["boot"], batch["seq"]) for batch in portal.usage.batches[1:]] == [(19, 1)]
    assert portal.usage.total()["requests"] == 2


def test_a_refused_batch_is_parked_reported_and_the_next_is_sent(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    portal.usage.refuses.add(key.id)
    ask(rig, key)
    send(rig)
    portal.usage.refuses.clear()
    ask(rig, key)
    send(rig)

    assert [batch["seq"] for batch in portal.usage.batches] == [2]
    assert rig.follower.sender.spool.parked == 1
    nacks = [nack for nack in rig.replica.take_nacks() if nack.kind == "usage"]
    assert [(nack.id, nack.code) for nack in nacks] == [("1.1", "key_unknown")]


def test_a_parked_batch_stands_in_nobodys_way_at_a_portal_that_went_back(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    """A restored portal asks for the place that the parked batch has: usage must not stop there."""
    portal.usage.refuses = {key.id}
    ask(rig, key)
    send(rig)
    portal.usage = FakeIngest()

    for _ in range(2):
        ask(rig, key)
        send(rig)

    assert portal.usage.total()["requests"] == 2
    assert rig.follower.sender.spool.parked == 1


def test_waiting_rows_are_bounded_by_losing_their_minute_and_never_their_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "WAITING_ROWS_MAX", 40)
    monkeypatch.setattr(spool, "_CHUNK", 100)
    store = Store(tmp_path)
    waiting = Spool(store)
    for day in range(2):
        rows = {}
        for number in range(600):
            rows[day * 86_400 + number * 60, "key_1", "m"] = counts = Counts(1, 2, 3)
            counts.refuse("x", 4)
        with store.transaction() as connection:
            spool.add(connection, rows)

    waiting.bound()

    assert 0 < waiting.waiting <= 40
    batch = waiting.next(3 * 86_400)
    assert batch is not None
    sent = orjson.loads(batch.body)["rows"]
    assert sum(counts["requests"] for _, _, counts, _ in sent) == 1200
    assert sum(counts["refused"]["x"] for _, _, counts, _ in sent) == 4800
    assert {minute % 3600 for *_, minute in sent} == {0}
    store.close()


def test_one_callers_enormous_wishes_cost_nobody_elses_usage(
    clock: ManualClock, tmp_path: Path
) -> None:
    """No limit on tokens holds them back; what is counted of a request has a bound all the same."""
    portal = FakePortal(clock=clock)
    portal.publish(small_catalog({"quota": 2000}))
    greedy, modest = (portal.add_key(portal.add_org("build")) for _ in range(2))
    with rig_on(portal, clock, tmp_path / "state") as rig:
        ask(rig, modest)
        for _ in range(1100):
            kept = rig.enforcer.check(greedy.secret, model="m", max_tokens=2**53 - 1)
        rig.enforcer.settle(kept.id, output_tokens=20)
        rig.enforcer.save()
        batch = rig.follower.sender.spool.next(int(clock.now()))

    assert batch is not None
    read = read_batch(batch.body, now=int(clock.now()))
    assert read.bad is None
    found = {row.key_id: (row.requests, row.output_tokens) for row in read.rows}
    assert found == {modest.id: (1, 20), greedy.id: (1100, 1099 * 10**9 + 20)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "spool")
    yield made
    made.close()


def change(store: Store, used: int, names: Iterable[str]) -> None:
    """Note that each of these organisations' counters stands at `used`."""
    with store.transaction() as connection:
        spool.add_metered(connection, (Metered(each, "x", {"used": used}) for each in names))


def told(waiting: Spool) -> list[str]:
    """Whose counters the next batch tells; it is answered."""
    batch = waiting.next(60)
    assert batch is not None
    waiting.done(batch)
    return [owner for owner, _, _ in orjson.loads(batch.body)["counters"]]


def test_of_more_counters_than_a_batch_holds_each_has_its_turn_and_none_is_passed_over(
    store: Store,
) -> None:
    names, waiting = [f"org_{number:04}" for number in range(700)], Spool(store)
    found = set[str]()
    for used in range(2):
        change(store, used, names)
        found.update(told(waiting))
        assert waiting.left == 200

    assert found == set(names)
    assert waiting.waiting == 0


def test_the_next_batch_follows_at_once_while_counters_wait(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BATCH_ROWS_MAX", 2)
    change(rig.store, 1, ["org_1", "org_2", "org_3"])

    pauses = [rig.follower.sender.send_once() for _ in range(2)]

    assert pauses == [usage.PAUSE_SECONDS, usage.SEND_SECONDS]


def test_counters_that_waited_before_they_had_an_order_are_told(tmp_path: Path) -> None:
    old = Store(tmp_path)
    with old.transaction() as connection:
        connection.execute("DROP TABLE metered")
        connection.execute(
            "CREATE TABLE metered (owner TEXT NOT NULL, name TEXT NOT NULL, fields BLOB NOT NULL,"
            " PRIMARY KEY (owner, name)) WITHOUT ROWID"
        )
        connection.execute("INSERT INTO metered VALUES ('org_9', 'x', '{}')")
    old.close()

    for _ in range(2):
        store = Store(tmp_path)
        change(store, 1, ["org_1"])
        store.close()
    store = Store(tmp_path)

    assert told(Spool(store)) == ["org_9", "org_1"]
    store.close()


def test_a_snapshot_carries_what_waits_and_what_is_on_its_way(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    ask(rig, key)
    rig.enforcer.save()
    frozen = rig.follower.sender.spool.next(0)
    ask(rig, key)
    rig.enforcer.save()

    portal.new_epoch()
    rig.level()

    assert rig.follower.sender.spool.next(0) == frozen
    send(rig)
    assert portal.usage.total()["requests"] == 2
