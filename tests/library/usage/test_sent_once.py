"""What was counted is told exactly once: over bad lines, restarts, refusals and portals that went back."""

from pathlib import Path
from typing import Any

from plimsoll.testing import FakeKey, FakePortal, ManualClock
from plimsoll.testing_usage import FakeIngest
from plimsoll.transport import LinkLost
from tests.library.rig import Rig, open_rig
from tests.library.usage.asking import ask, send


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


def test_what_is_in_a_batch_without_an_answer_waits_still(
    rig: Rig, portal: FakePortal, key: FakeKey
) -> None:
    """A gateway that says that nothing waits is believed to have told all."""
    line = Unreliable(portal)
    line.faults = ["lost", "unanswered"]
    rig.follower._portal.usage = line  # type: ignore[method-assign]
    ask(rig, key)
    rig.enforcer.save()

    seen = []
    for _ in range(3):
        rig.follower.sender.send_once()
        seen.append(rig.follower.reporter._health(0)["spool"])

    # A row, and the two counters that it changed.
    assert seen == [3, 3, 0]


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
    assert (rig.follower.sender.spool.parked, rig.follower.sender.spool.left) == (1, 0)
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
