"""What a gateway tells the portal of itself: soon, and not more often than the portal needs."""

import time

import pytest

from plimsoll.report import Reporter
from tests.library.rig import Rig

CHANGES = 30


@pytest.fixture
def busy(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """The portal takes a while to answer a report."""
    rig.level()
    answered = rig.follower._portal.report

    def answer(body: bytes) -> int:
        rig.clock.advance(0.3)
        return answered(body)

    monkeypatch.setattr(rig.follower._portal, "report", answer)
    for _ in range(2):  # the first tells nothing of the portal: it had to connect
        before = len(rig.portal.reports)
        rig.portal.beat()
        rig.wait(lambda before=before: len(rig.portal.reports) > before, "a report")
    return rig


def test_a_busy_portal_is_told_together_what_changes_in_a_moment(busy: Rig) -> None:
    """Two hundred gateways at ten changes a second would keep it busy with their reports alone."""
    rig = busy
    before = len(rig.portal.reports)

    began = time.monotonic()
    for _ in range(CHANGES):
        rig.portal.add_org("build")
        rig.level()
    took = time.monotonic() - began
    rig.wait(lambda: is_reported(rig), "the last position was reported")

    # Half a second apart, of which the answer takes 0.3 by the gateway's clock.
    assert len(rig.portal.reports) - before <= 3 + took / 0.2


def test_a_busy_portal_is_told_within_the_second_of_a_receipt_all_the_same(busy: Rig) -> None:
    rig, took = busy, []

    for _ in range(3):  # whatever else the machine has to do, it is not always busy
        began = time.monotonic()
        rig.portal.add_org("build")
        rig.level()
        rig.wait(lambda: is_reported(rig), "the position was reported")
        took.append(time.monotonic() - began)

    assert min(took) < 1


def pauses(rig: Rig, *took: float) -> tuple[float, float]:
    """Between what a report waits, after answers that took so long."""
    asked: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    reporter = Reporter(
        rig.replica,
        rig.follower._portal,
        rig.follower.sender.spool,
        counters=str,
        link=str,
        jitter=jitter,
    )
    for seconds in took:
        reporter._note_time(seconds)
    reporter._pause()
    return asked[-1]


def test_the_longer_the_portal_takes_the_later_it_is_told_to_a_bound(rig: Rig) -> None:
    """What is still on its way to others must not wait behind reports of it."""
    assert pauses(rig, 0.0, 0.001) == (0.001, 0.002)
    assert pauses(rig, 0.0, 0.05) == (0.05, 0.1)
    assert pauses(rig, 0.0, 9.0) == (0.2, 0.4)


def test_the_first_answer_on_a_connection_says_nothing_of_the_portal(rig: Rig) -> None:
    assert pauses(rig, 9.0) == (0.0, 0.0)


def is_reported(rig: Rig) -> bool:
    """Whether the portal was told of the position that the gateway has now."""
    head = rig.replica.head
    assert head is not None
    return bool(rig.portal.reports) and rig.portal.reports[-1]["cursor"] == head.cursor
