"""What a gateway counts as it decides: net of settlement, by minute and model, and how its counters stand."""

import math
from collections import Counter
from pathlib import Path

from plimsoll import usage
from plimsoll.testing import FakeKey, FakePortal, ManualClock
from portal.usage.batch import read_batch
from tests.library.rig import Rig, rig_on, small_catalog
from tests.library.usage.asking import MINUTE_LIMIT, TOKEN_LIMIT, ask, send


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
