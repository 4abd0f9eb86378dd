"""Portal time and steady time (SYNC.md section 3.7)."""

import pytest

from plimsoll.clock import PortalTime, SteadyTime
from plimsoll.testing import ManualClock


def test_our_own_clock_counts_until_the_portal_is_heard() -> None:
    clock = ManualClock(1000.0)
    time = PortalTime(clock)

    assert (time.now(), time.is_known) == (1000.0, False)


def test_portal_time_is_what_was_heard_and_what_passed_since() -> None:
    clock = ManualClock(1000.0)
    time = PortalTime(clock)
    time.hear(5000)

    clock.advance(7.5)
    clock.set_wall(0.0)

    assert time.now() == 5007.5


def test_whole_seconds_never_make_time_step_back() -> None:
    """A wait that was told must not become longer because a heartbeat was rounded down."""
    clock = ManualClock(1000.0)
    time = PortalTime(clock)
    time.hear(5000)
    clock.advance(4.75)

    time.hear(5004)

    assert time.now() == 5004.75


def test_time_moves_forward_to_what_is_heard() -> None:
    time = PortalTime(ManualClock(1000.0))
    time.hear(5000)

    time.hear(5001)

    assert time.now() == 5001.0


def test_a_portal_that_was_set_back_is_followed() -> None:
    time = PortalTime(ManualClock(1000.0))
    time.hear(5000)

    time.hear(4000)

    assert time.now() == 4000.0


@pytest.mark.parametrize("odd", [5_000_000, 10])
def test_one_word_alone_does_not_set_the_clock_far(odd: int) -> None:
    """No digest covers it: a bit may have turned on the way, and keys would expire."""
    time = PortalTime(ManualClock(1000.0))
    time.hear(5000)
    time.hear(5000)

    time.hear(odd)
    assert time.now() == 5000.0
    time.hear(5000)
    assert time.now() == 5000.0


@pytest.mark.parametrize("now", [5_000_000, 10])
def test_a_portal_whose_clock_is_set_far_is_followed_at_its_second_word(now: int) -> None:
    time = PortalTime(ManualClock(1000.0))
    time.hear(5000)
    time.hear(5000)

    time.hear(now)
    time.hear(now + 1)

    assert time.now() == now + 1


@pytest.mark.parametrize("odd", [5_000_000, 10])
def test_a_first_word_that_was_odd_is_forgotten_at_the_second(odd: int) -> None:
    time = PortalTime(ManualClock(1000.0))
    time.hear(odd)

    time.hear(5000)

    assert time.now() == 5000.0


def test_the_age_is_that_of_the_last_word() -> None:
    clock = ManualClock(1000.0)
    time = PortalTime(clock)
    assert time.age_seconds() is None
    time.hear(5000)

    clock.advance(3)

    assert time.age_seconds() == 3.0


@pytest.mark.parametrize("wall", [0.0, 9e9])
def test_steady_time_does_not_care_for_the_wall(wall: float) -> None:
    clock = ManualClock(1000.0)
    time = SteadyTime(clock)

    clock.set_wall(wall)
    clock.advance(2)

    assert time.now() == 1002.0
