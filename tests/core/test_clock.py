from datetime import timedelta

from portal.core import clock
from tests.support.clocks import START, ManualClock


def test_the_clock_is_aware_and_in_utc():
    assert clock.now().utcoffset() == timedelta(0)


def test_a_manual_clock_stands_still_until_it_is_moved():
    manual = ManualClock()

    with clock.running(manual):
        before = clock.now()
        manual.advance(seconds=90)

        assert before == START
        assert clock.timestamp() == int(START.timestamp()) + 90


def test_after_a_manual_clock_time_runs_again():
    with clock.running(ManualClock()):
        pass

    assert clock.now() != START
