"""The portal of `plimsoll.testing` publishes as a real one does: by the rule, or not at all."""

from collections.abc import Callable

import pytest

from plimsoll.contract.history import State
from plimsoll.contract.limits import InvalidField
from plimsoll.contract.rules import RuleBroken
from plimsoll.testing import FakePortal, ManualClock
from tests.library.published import DAY, HOUR, MONTH, change
from tests.library.rig import small_catalog


@pytest.fixture
def portal(clock: ManualClock) -> FakePortal:
    made = FakePortal(clock=clock)
    made.publish(small_catalog({"quota": 10}))
    clock.advance(1)
    return made


def state(portal: FakePortal, number: int) -> State:
    return portal.history.changes[number].state(portal.now)


def test_a_change_goes_the_way_of_a_real_one(portal: FakePortal, clock: ManualClock) -> None:
    number = portal.announce(change(4), effective_in=MONTH)
    assert (number, state(portal, 2)) == (2, State.ANNOUNCED)
    portal.amend(2, title="In other words")
    portal.reschedule(2, effective_in=MONTH + DAY)
    portal.hold(2)
    assert state(portal, 2) is State.HELD
    portal.release(2, effective_in=MONTH + DAY)

    clock.advance(MONTH + DAY)

    assert state(portal, 2) is State.EFFECTIVE
    assert portal.history.changes[2].title == "In other words"


def test_a_change_replaces_another(portal: FakePortal) -> None:
    portal.announce(change(4), effective_in=MONTH)

    portal.announce(change(5, replaces=[2]), effective_in=MONTH)

    assert state(portal, 2) is State.WITHDRAWN
    assert portal.history.changes[2].replaced_by == 3


def test_what_ends_by_itself_keeps_its_length_when_it_is_moved(portal: FakePortal) -> None:
    raised = change(40, **{"class": "temporary_raise"})
    number = portal.announce(raised, effective_in=DAY, expires_in=DAY + HOUR)

    portal.reschedule(number, effective_in=2 * DAY)

    moved = portal.history.changes[number]
    assert (moved.effective_at, moved.expires_at) == (
        portal.now + 2 * DAY,
        portal.now + 2 * DAY + HOUR,
    )


def test_a_longer_notice_counts_from_its_own_instant(portal: FakePortal) -> None:
    portal.change_notice(tightening_seconds=60 * DAY)

    with pytest.raises(RuleBroken, match="notice"):
        portal.announce(change(4), effective_in=MONTH)


@pytest.mark.parametrize(
    ("publish", "error"),
    [
        (lambda portal: portal.announce(change(4), effective_in=DAY), RuleBroken),
        (lambda portal: portal.announce(change(10)), InvalidField),
        (lambda portal: portal.announce(change(4, colour="red")), InvalidField),
        (lambda portal: portal.hold(7), RuleBroken),
    ],
    ids=["too little notice", "changes nothing", "an unknown field", "no such change"],
)
def test_what_the_rule_forbids_is_not_published(
    portal: FakePortal, publish: Callable[[FakePortal], object], error: type[Exception]
) -> None:
    before = portal.revision, portal.entries

    with pytest.raises(error):
        publish(portal)

    assert (portal.revision, portal.entries) == before
