"""Published changes at the gateway: each at its instant, with no word from the portal."""

from collections.abc import Callable
from pathlib import Path

import pytest

from plimsoll.contract.fold import fold
from plimsoll.decision import Change
from plimsoll.testing import FakePortal, ManualClock
from tests.library.published import DAY, HOUR, MONTH, ROW, Gate, change
from tests.library.rig import Rig, rig_on, small_catalog


@pytest.fixture
def portal(clock: ManualClock) -> FakePortal:
    made = FakePortal(clock=clock)
    made.publish(small_catalog({"quota": 10}))
    # What changes within the second of the opening was in force for nobody.
    clock.advance(1)
    return made


@pytest.fixture
def gate(rig: Rig) -> Gate:
    return Gate(rig)


# ---- in time ----


def test_an_announced_change_holds_from_its_instant_with_the_portal_away(gate: Gate) -> None:
    gate.portal.announce(change(4), effective_in=MONTH)
    gate.cut_off()

    assert gate.quotas(0, MONTH - 1, 1) == [10, 10, 4]


def test_it_does_so_after_a_restart_from_the_store(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    portal.announce(change(4), effective_in=MONTH)
    key = portal.add_key(portal.add_org("build"))
    with rig_on(portal, clock, tmp_path / "state"):
        pass
    portal.is_down = True
    clock.advance(MONTH)

    with rig_on(portal, clock, tmp_path / "state") as rig:
        (limit,) = rig.enforcer.limits(key.secret).limits

    assert limit.quota == 4


def test_a_temporary_raise_begins_and_ends_by_itself(gate: Gate) -> None:
    gate.portal.announce(
        change(50, **{"class": "temporary_raise"}), effective_in=HOUR, expires_in=2 * HOUR
    )
    gate.cut_off()

    assert gate.quotas(0, HOUR, HOUR - 1, 1) == [10, 50, 50, 10]


def test_an_emergency_cut_ends_by_itself(gate: Gate) -> None:
    gate.portal.announce(change(2, **{"class": "emergency_cut"}), expires_in=72 * HOUR)
    gate.cut_off()

    assert gate.quotas(0, 72 * HOUR - 1, 1) == [2, 2, 10]


def test_an_emergency_cut_that_is_ended_early_ends_when_the_gateway_hears(gate: Gate) -> None:
    number = gate.portal.announce(change(2, **{"class": "emergency_cut"}), expires_in=72 * HOUR)
    assert gate.quotas(HOUR) == [2]

    gate.portal.withdraw(number)

    assert gate.quota() == 10


@pytest.mark.parametrize("act", [FakePortal.hold, FakePortal.withdraw])
def test_what_is_held_or_withdrawn_in_time_never_holds(
    gate: Gate, act: Callable[[FakePortal, int], None]
) -> None:
    number = gate.portal.announce(change(4), effective_in=MONTH)
    gate.clock.advance(MONTH - 1)

    act(gate.portal, number)

    assert gate.quotas(0, 1, MONTH) == [10, 10, 10]


def test_a_released_change_holds_from_its_new_instant(gate: Gate) -> None:
    number = gate.portal.announce(change(4), effective_in=MONTH)
    gate.clock.advance(MONTH - DAY)
    gate.portal.hold(number)
    gate.clock.advance(DAY)

    gate.portal.release(number, effective_in=7 * DAY)

    assert gate.quotas(7 * DAY - 1, 1) == [10, 4]


def test_a_gateway_cut_off_before_a_hold_takes_the_change_back_when_it_hears(gate: Gate) -> None:
    """The honest bound of the log: nobody can be told over a wire that is cut."""
    number = gate.portal.announce(change(4), effective_in=MONTH)
    gate.cut_off()
    gate.clock.advance(MONTH - 1)
    gate.portal.hold(number)
    assert gate.quotas(1) == [4]

    gate.portal.is_down = False

    assert gate.quota() == 10


def test_a_snapshot_brings_no_limit_but_those_of_the_verified_log(gate: Gate) -> None:
    gate.portal.announce(change(4), effective_in=MONTH)
    gate.level()
    epoch = gate.portal.epoch

    gate.portal.new_epoch()
    gate.level()
    assert gate.rig.store.head is not None
    assert gate.rig.store.head.epoch != epoch
    gate.cut_off()

    assert gate.quotas(MONTH - 1, 1) == [10, 4]


# ---- what is used, and what is said ----


@pytest.mark.parametrize(("quota", "effective_in"), [(4, MONTH), (40, HOUR)])
def test_what_is_used_stays_used_when_the_quota_changes(
    gate: Gate, quota: int, effective_in: int
) -> None:
    gate.portal.announce(change(quota), effective_in=effective_in)
    gate.clock.advance(effective_in - 0.001)
    for _ in range(6):
        assert gate.ask()

    gate.clock.advance_ms(1)

    assert (gate.quota(), gate.used()) == (quota, 6)
    assert [bool(gate.ask()) for _ in range(max(0, quota - 6))] == [True] * max(0, quota - 6)
    assert not gate.ask()


def test_a_window_that_is_open_keeps_its_count_and_its_end(
    clock: ManualClock, tmp_path: Path
) -> None:
    portal = FakePortal(clock=clock)
    row = {"kind": "window", "period": DAY, "quota": 10}
    portal.publish(small_catalog(row))
    key = portal.add_key(portal.add_org("build"))
    portal.announce({"rows": [{**ROW, **row, "quota": 20}]}, effective_in=HOUR)

    with rig_on(portal, clock, tmp_path / "state") as rig:
        for _ in range(7):
            rig.enforcer.check(key.secret, model="m")
        (before,) = rig.enforcer.limits(key.secret).limits
        clock.advance(HOUR)
        (after,) = rig.enforcer.limits(key.secret).limits

    assert (before.quota, after.quota) == (10, 20)
    assert (before.used, after.used) == (7, 7)
    assert before.free_at_ms == after.free_at_ms


def named(gate: Gate) -> object:
    """The `change` member of a refusal."""
    while gate.ask():
        pass
    return gate.ask().problem().get("change")


def page(number: int) -> dict[str, object]:
    return Change(number, f"https://portal.test/changelog/{number}")._asdict()


def test_a_refusal_names_the_change_of_the_last_30_days(gate: Gate) -> None:
    assert named(gate) is None
    gate.portal.announce(change(4), effective_in=MONTH)
    assert named(gate) is None

    gate.clock.advance(MONTH)
    assert named(gate) == page(2)

    gate.clock.advance(30 * DAY)
    assert named(gate) is None


def test_a_refusal_names_the_temporary_raise_that_has_ended(gate: Gate) -> None:
    raised = change(12, **{"class": "temporary_raise"})
    gate.portal.announce(raised, effective_in=HOUR, expires_in=60 * DAY)
    assert named(gate) is None

    gate.clock.advance(HOUR)
    assert named(gate) == page(2)
    gate.clock.advance(59 * DAY)
    assert named(gate) is None, "it rose more than 30 days ago"
    gate.clock.advance(DAY)
    assert gate.quota() == 10
    assert named(gate) == page(2), "and fell just now"


# ---- one fold ----


def test_at_every_instant_the_gateway_has_what_the_fold_of_the_log_says(gate: Gate) -> None:
    portal = gate.portal
    portal.announce(change(40), effective_in=DAY)
    portal.announce(change(60), effective_in=3 * DAY)
    portal.announce(
        change(90, **{"class": "temporary_raise"}), effective_in=2 * DAY, expires_in=4 * DAY
    )
    portal.announce(
        change(2, **{"class": "emergency_cut"}), effective_in=DAY + HOUR, expires_in=3 * DAY
    )
    portal.announce(change(5), effective_in=MONTH + 3 * DAY)
    gate.level()
    entries, edges, start = portal.entries, portal.history.instants(), portal.now

    # By steps that meet every instant, the ends of temporary changes and the second before.
    hours = range(start, start + MONTH + 4 * DAY, 4 * HOUR)
    for at in sorted({*hours, *(edge - back for edge in edges for back in (0, 1))}):
        policy = gate.rig.replica.logbook.policy(at)
        assert policy.limits == fold(entries, at).limits
    gate.clock.advance(MONTH + 3 * DAY)
    assert gate.quota() == 5
