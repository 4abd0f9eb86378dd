"""Limits at the gate: bound, exact retry, whose they are, and clocks that jump (LIMITS.md section 1)."""

import threading
from pathlib import Path

import pytest

from plimsoll.decision import Code
from plimsoll.testing import FakePortal, ManualClock
from tests.library.gate import OUTPUT, MakeGate
from tests.library.rig import rig_on, small_catalog


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
