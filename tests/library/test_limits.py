"""Limits at the gate: bound, exact retry, settlement, grants, caps (LIMITS.md section 1)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plimsoll.decision import Code, Reading
from plimsoll.testing import FakeKey, FakePortal, ManualClock
from tests.library.rig import Rig, rig_on, small_catalog

OUTPUT = {"metric": "output_tokens"}


class Gate:
    """A rig with one key, asked in one word."""

    def __init__(self, rig: Rig, org: str, key: FakeKey) -> None:
        self.rig, self.org, self.key = rig, org, key
        self.clock, self.portal = rig.clock, rig.portal

    def ask(self, **asked: object) -> tuple[str, int | None]:
        """The decision's id (empty when refused) and its exact wait."""
        decision = self.rig.enforcer.check(self.key.secret, **{"model": "m", **asked})  # type: ignore[arg-type]
        return decision.id, decision.retry_after_ms

    def settle(self, decision_id: str, **took: object) -> bool:
        return self.rig.enforcer.settle(decision_id, **took)  # type: ignore[arg-type]

    def used(self) -> dict[str, int]:
        return {each.name: each.used for each in self.readings()}

    def readings(self) -> tuple[Reading, ...]:
        return self.rig.enforcer.limits(self.key.secret).limits


MakeGate = Callable[..., Gate]


@pytest.fixture
def make_gate(clock: ManualClock, tmp_path: Path) -> Iterator[MakeGate]:
    """Publishes rows of a small catalogue and issues one key."""
    open_gates = []

    @contextmanager
    def opened(rows: tuple[dict[str, object], ...], fields: dict[str, object]) -> Iterator[Gate]:
        portal = FakePortal(clock=clock)
        portal.publish(small_catalog(*rows))
        org = portal.add_org("build")
        key = portal.add_key(org, **fields)
        with rig_on(portal, clock, tmp_path / "state") as rig:
            yield Gate(rig, org, key)

    def make(*rows: dict[str, object], **fields: object) -> Gate:
        context = opened(rows, fields)
        open_gates.append(context)
        return context.__enter__()

    yield make
    for context in open_gates:
        context.__exit__(None, None, None)


def test_waiting_exactly_as_long_as_said_admits_and_a_millisecond_less_does_not(
    make_gate: MakeGate,
) -> None:
    gate = make_gate({"quota": 7})
    for _ in range(7):
        assert gate.ask()[0]
    _, wait = gate.ask()
    assert wait == 8572  # a seventh of a minute, rounded up

    gate.clock.advance_ms(wait - 1)
    assert gate.ask() == ("", 1)

    gate.clock.advance_ms(1)
    assert gate.ask()[0]


def test_a_window_ends_where_everybody_can_compute_it(make_gate: MakeGate) -> None:
    gate = make_gate({"kind": "window", "period": 3600, "quota": 1})
    gate.ask()
    _, wait = gate.ask()
    assert wait == 3_600_000 - round(gate.clock.now() * 1000) % 3_600_000

    gate.clock.advance_ms(wait - 1)
    assert gate.ask() == ("", 1)

    gate.clock.advance_ms(1)
    assert gate.ask()[0]


def test_the_longest_wait_of_all_refusing_limits_is_told(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 1}, {"model": "*", "quota": 1, "period": 3600})
    gate.ask()

    assert gate.ask() == ("", 3_600_000)


def test_one_limit_that_refuses_leaves_all_others_untouched(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 100}, {**OUTPUT, "quota": 10})
    gate.ask(max_tokens=10)
    before = gate.used()

    assert gate.ask(max_tokens=1)[0] == ""

    assert gate.used() == before


def test_output_is_reserved_by_max_tokens_else_by_the_published_reserve(
    make_gate: MakeGate,
) -> None:
    gate = make_gate({**OUTPUT, "quota": 1000})

    gate.ask(max_tokens=7)
    gate.ask()

    assert gate.used() == {"build.m.output_tokens.1m": 57}


def test_settling_gives_back_what_was_not_used(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 10}, {**OUTPUT, "quota": 1000})
    decision, _ = gate.ask(max_tokens=500)

    assert gate.settle(decision, output_tokens=30)

    assert gate.used() == {"build.m.requests.1m": 1, "build.m.output_tokens.1m": 30}


def test_settling_twice_changes_nothing(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 1000})
    decision, _ = gate.ask(max_tokens=500)
    gate.settle(decision, output_tokens=30)

    assert not gate.settle(decision, output_tokens=0)
    assert not gate.settle("dec_unheard_of", output_tokens=0)

    assert gate.used() == {"build.m.output_tokens.1m": 30}


def test_more_than_reserved_is_charged_in_full(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 1000})
    decision, _ = gate.ask(max_tokens=10)

    gate.settle(decision, output_tokens=400)

    assert gate.used() == {"build.m.output_tokens.1m": 400}


def test_a_failure_of_the_provider_gives_everything_back(make_gate: MakeGate) -> None:
    rows = ({"quota": 10}, {"metric": "input_tokens", "quota": 100}, {**OUTPUT, "quota": 1000})
    gate = make_gate(*rows)
    decision, _ = gate.ask(input_tokens=40, max_tokens=500)

    gate.settle(decision, failed=True)

    assert set(gate.used().values()) == {0}


def test_what_is_not_said_stays_as_admitted(make_gate: MakeGate) -> None:
    rows = ({"metric": "input_tokens", "quota": 100}, {**OUTPUT, "quota": 1000})
    gate = make_gate(*rows, {"metric": "total_tokens", "quota": 1000})
    decision, _ = gate.ask(input_tokens=40, max_tokens=500)

    gate.settle(decision)

    assert sorted(gate.used().values()) == [40, 500, 540]


def test_total_tokens_are_input_and_output(make_gate: MakeGate) -> None:
    gate = make_gate({"metric": "total_tokens", "quota": 1000})
    decision, _ = gate.ask(input_tokens=40, max_tokens=500)
    assert gate.used() == {"build.m.total_tokens.1m": 540}

    gate.settle(decision, input_tokens=41, output_tokens=9)

    assert gate.used() == {"build.m.total_tokens.1m": 50}


def test_a_reservation_unsettled_for_15_minutes_stands_as_used(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "kind": "window", "period": "month", "quota": 1000})
    decision, _ = gate.ask(max_tokens=500)
    gate.clock.advance(15 * 60)
    gate.ask(max_tokens=0)

    assert not gate.settle(decision, output_tokens=0)
    assert gate.used() == {"build.m.output_tokens.month": 500}


def test_spend_is_counted_when_it_is_known_and_then_bites(make_gate: MakeGate) -> None:
    gate = make_gate({"metric": "spend_microusd", "model": "*", "kind": "window", "quota": 100})
    first, _ = gate.ask()
    second, _ = gate.ask()
    assert gate.used() == {"build.all.spend_microusd.1m": 0}

    gate.settle(first, spend_microusd=60, output_tokens=0)
    gate.settle(second, spend_microusd=60, output_tokens=0)

    assert gate.used() == {"build.all.spend_microusd.1m": 120}
    assert gate.ask()[0] == ""


def test_requests_at_once_are_released_when_settled(make_gate: MakeGate) -> None:
    gate = make_gate(
        {"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 2}
    )
    first, _ = gate.ask()
    gate.ask()
    assert gate.ask() == ("", None)

    gate.settle(first, output_tokens=0)

    assert gate.ask()[0]


def test_a_request_whose_end_nobody_told_is_not_in_flight_for_ever(make_gate: MakeGate) -> None:
    gate = make_gate(
        {"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 1}
    )
    gate.ask()

    gate.clock.advance(15 * 60)

    assert gate.ask()[0]


def test_a_request_without_a_model_meets_the_shared_limits_only(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 1}, {"model": "*", "quota": 5})

    for _ in range(5):
        assert gate.ask(model=None)[0]

    assert gate.ask(model=None)[0] == ""
    assert gate.used() == {"build.m.requests.1m": 0, "build.all.requests.1m": 5}


def test_all_keys_of_an_organisation_share_its_counters(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 2})
    other = gate.portal.add_key(gate.org, environment="test")
    gate.rig.level()
    gate.ask()
    assert gate.rig.enforcer.check(other.secret, model="m")

    assert gate.ask()[0] == ""


def test_moving_to_another_tier_keeps_what_is_used(make_gate: MakeGate) -> None:
    gate = make_gate({"model": "*", "quota": 10}, {"tier": "other", "model": "*", "quota": 20})
    gate.ask()

    gate.portal.change(gate.org, tier="other")
    gate.rig.level()

    assert gate.used() == {"other.all.requests.1m": 1}


def grant(gate: Gate, **fields: object) -> dict[str, object]:
    now = gate.portal.now
    values = {"model": "m", "metric": "requests", "kind": "bucket", "period": 60, "quota": 3}
    made = {**values, "burst": 3, "id": "grt_1", "from": now, "until": now + 60, **fields}
    return {**made, "burst": made["quota"]}


def test_a_grant_raises_for_its_time_and_no_longer(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 1})
    gate.portal.change(gate.org, grants=[grant(gate, **{"from": gate.portal.now + 10})])
    gate.rig.level()

    def quota() -> int:
        return gate.readings()[0].quota

    seen = [quota()]
    for milliseconds in (9_999, 1, 49_999, 1):
        gate.clock.advance_ms(milliseconds)
        seen.append(quota())

    assert seen == [1, 1, 3, 3, 1]


def test_a_grant_never_lowers_and_opens_no_limit(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 5})
    grants = [grant(gate), grant(gate, id="grt_2", metric="input_tokens")]
    gate.portal.change(gate.org, grants=grants)
    gate.rig.level()

    assert [(each.name, each.quota) for each in gate.readings()] == [("build.m.requests.1m", 5)]


def test_requests_in_flight_are_settled_by_the_quota_of_today(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 60, "burst": 1000})
    values = {"metric": "output_tokens", "quota": 60_000, "until": None}
    granted = {**grant(gate, **values), "burst": 1000}
    gate.portal.change(gate.org, grants=[granted])
    gate.rig.level()
    lowered, _ = gate.ask(max_tokens=1000)
    gate.portal.change(gate.org, grants=[])
    gate.rig.level()
    gate.clock.advance(10)
    assert gate.used() == {"build.m.output_tokens.1m": 990}

    gate.settle(lowered, output_tokens=999)

    assert gate.used() == {"build.m.output_tokens.1m": 990}


def test_what_has_leaked_by_a_raised_quota_is_not_given_back(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 60, "burst": 1000})
    first, _ = gate.ask(max_tokens=1000)
    values = {"metric": "output_tokens", "quota": 60_000, "until": None}
    gate.portal.change(gate.org, grants=[{**grant(gate, **values), "burst": 1000}])
    gate.rig.level()
    gate.clock.advance(1)
    assert gate.ask(max_tokens=1000)[0]

    gate.settle(first, output_tokens=0)

    assert gate.used() == {"build.m.output_tokens.1m": 1000}


def cap(**fields: object) -> dict[str, object]:
    values = {"model": "m", "metric": "requests", "kind": "bucket", "period": 60, "quota": 2}
    made = {**values, **fields}
    return {**made, "burst": made["quota"]}


def test_a_cap_lowers_for_its_key_and_leaves_the_organisation_the_rest(
    make_gate: MakeGate,
) -> None:
    gate = make_gate({"quota": 5}, caps=[cap()])
    other = gate.portal.add_key(gate.org)
    gate.rig.level()
    for _ in range(2):
        assert gate.ask()[0]

    decision = gate.rig.enforcer.check(gate.key.secret, model="m")

    assert decision.problem()["limit"] == "cap.m.requests.1m"
    for _ in range(3):
        assert gate.rig.enforcer.check(other.secret, model="m")
    assert not gate.rig.enforcer.check(other.secret, model="m")


def test_a_cap_above_the_tier_does_not_raise(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 5}, caps=[cap(quota=9)])

    assert [each.quota for each in gate.readings()] == [5, 5]


def test_a_rotated_key_goes_on_under_its_lineages_cap(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 50}, caps=[cap()])
    for _ in range(2):
        gate.ask()

    successor = gate.portal.add_key(gate.org, lineage=gate.key.id, caps=[cap()])
    gate.rig.level()

    assert not gate.rig.enforcer.check(successor.secret, model="m")


def test_many_threads_are_admitted_exactly_as_often_as_the_limit_says(
    make_gate: MakeGate,
) -> None:
    """Two requests must never take the last place both."""
    gate = make_gate({"quota": 500, "burst": 500})
    admitted: list[str] = []

    def ask() -> None:
        for _ in range(200):
            decision, _wait = gate.ask()
            if decision:
                admitted.append(decision)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(admitted)) == len(admitted) == 500


def test_reading_the_limits_costs_nothing(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 1})

    for _ in range(3):
        gate.readings()

    assert gate.ask()[0]


@pytest.mark.parametrize("asked", [{"input_tokens": -1}, {"max_tokens": -1}, {"max_tokens": 2**53}])
def test_an_amount_that_cannot_be_is_an_error_of_the_caller(
    make_gate: MakeGate, asked: dict[str, int]
) -> None:
    gate = make_gate({"quota": 1})

    with pytest.raises(ValueError, match="amounts are from 0"):
        gate.ask(**asked)
    with pytest.raises(ValueError, match="amounts are from 0"):
        gate.settle("", output_tokens=-1)


def test_a_clock_set_back_over_a_restart_does_not_stop_the_refill(
    clock: ManualClock, tmp_path: Path
) -> None:
    portal = FakePortal(clock=ManualClock())
    portal.publish(small_catalog({"quota": 60}))
    key = portal.add_key(portal.add_org("build"))
    with rig_on(portal, clock, tmp_path / "state") as rig:
        for _ in range(60):
            rig.enforcer.check(key.secret, model="m")

    clock.set_wall(clock.now() - 3600)
    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert rig.enforcer.check(key.secret, model="m").code is Code.LIMIT_EXCEEDED
        clock.advance(1)
        assert rig.enforcer.check(key.secret, model="m")


def test_buckets_refill_evenly_while_the_portals_clock_jumps(
    clock: ManualClock, tmp_path: Path
) -> None:
    """Portal time comes in whole seconds and may be set; a wait once told must stay exact."""
    portal_clock = ManualClock(clock.now() + 5000)
    portal = FakePortal(clock=portal_clock)
    portal.publish(small_catalog({"quota": 60}))
    key = portal.add_key(portal.add_org("build"))
    with rig_on(portal, clock, tmp_path / "state") as rig:
        while rig.enforcer.check(key.secret, model="m"):
            pass
        portal_clock.set_wall(portal_clock.now() + 7000)
        portal.add_org("build")
        rig.level()

        assert rig.enforcer.check(key.secret, model="m").retry_after_ms == 1000
