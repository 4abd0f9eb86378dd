"""The gateway's side of the sync API: what it takes in, what it says, and that it never gives up."""

from pathlib import Path

import pytest

from plimsoll.decision import Code
from plimsoll.sync import Link
from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import Rig, code_of, open_rig, rig_on


def test_a_new_gateway_takes_a_snapshot_and_decides(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))

    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_a_revocation_is_obeyed_by_the_next_request(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    assert code_of(rig, key.secret) is Code.ALLOWED

    rig.portal.revoke(key.id)
    rig.level()

    assert code_of(rig, key.secret) is Code.KEY_REVOKED


def test_each_commit_is_acknowledged_with_its_cursor(rig: Rig) -> None:
    rig.portal.add_org("build")
    rig.level()
    head = rig.replica.head
    assert head is not None

    def is_acknowledged() -> bool:
        return any(report["cursor"] == head.cursor for report in rig.portal.reports)

    rig.wait(is_acknowledged, "the report arrived")
    assert rig.portal.reports[-1]["health"]["log_size"] == 2
    assert rig.portal.reports[-1]["health"]["boot"] == 1


def test_a_heartbeat_never_moves_the_cursor(rig: Rig) -> None:
    """A commit is lost on the way, the heartbeat after it is not: the gateway asks again."""
    before = rig.replica.head

    def lose(_: list[bytes]) -> list[bytes]:
        # What was lost cannot be asked for until the end of the test's first half.
        rig.portal.is_down = True
        return []

    rig.portal.tamper = lose
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.wait(lambda: rig.portal.is_down, "the commit was lost")
    rig.portal.beat()
    rig.wait(lambda: "ahead of its stream" in rig.reasons(), "the gap was noticed")
    assert rig.replica.head == before
    assert code_of(rig, key.secret) is Code.KEY_UNKNOWN

    rig.portal.tamper = None
    rig.portal.is_down = False
    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_a_heartbeat_is_answered_with_a_report(rig: Rig) -> None:
    rig.wait(lambda: bool(rig.portal.reports), "the first report")
    reports = len(rig.portal.reports)

    rig.portal.beat()

    rig.wait(lambda: len(rig.portal.reports) > reports, "the heartbeat was answered")


def test_revocations_hold_and_come_while_the_store_cannot_be_written(rig: Rig) -> None:
    """As with a full disk: the stream stays open, since it is how revocations come."""
    org = rig.portal.add_org("build")
    first, second = rig.portal.add_key(org), rig.portal.add_key(org)
    rig.level()
    asked = len(rig.portal.requests)
    rig.store._write.execute("PRAGMA query_only = ON")

    rig.portal.revoke(first.id)
    rig.wait(lambda: code_of(rig, first.secret) is Code.KEY_REVOKED, "the first is refused")
    rig.portal.beat()
    rig.portal.revoke(second.id)
    rig.wait(lambda: code_of(rig, second.secret) is Code.KEY_REVOKED, "the second is refused")
    third = rig.portal.add_key(org)

    assert "the store cannot be written" in rig.follower.standing().reason
    assert not [each for each in rig.portal.requests[asked:] if "/state" in each]
    rig.store._write.execute("PRAGMA query_only = OFF")
    rig.portal.beat()
    rig.level()
    assert code_of(rig, third.secret) is Code.ALLOWED
    assert rig.follower.standing().reason == ""


def test_a_refused_token_keeps_serving_and_says_so(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()

    rig.portal.token = "another"
    rig.portal.drop()
    rig.wait_for_link(Link.REFUSED)

    assert code_of(rig, key.secret) is Code.ALLOWED
    assert "refuses this gateway's token" in caplog.text


def test_a_lost_portal_is_found_again(rig: Rig) -> None:
    rig.portal.is_down = True
    rig.portal.drop()
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.wait_for_link(Link.RECONNECTING)
    assert code_of(rig, key.secret) is Code.KEY_UNKNOWN

    rig.portal.is_down = False
    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_a_gateway_without_state_is_not_ready(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    portal.is_down = True
    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert code_of(rig, "plim_live_nonsense") is Code.NOT_READY
        assert rig.enforcer.check(None).code is Code.NOT_READY


def test_a_gateway_restarted_without_its_portal_decides_from_its_store(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    key = portal.add_key(portal.add_org("build"))
    with rig_on(portal, clock, tmp_path / "state") as first:
        first.enforcer.check(key.secret, model="sonnet-5", max_tokens=1000)

    portal.is_down = True
    with rig_on(portal, clock, tmp_path / "state") as second:
        decision = second.enforcer.check(key.secret, model="sonnet-5", max_tokens=1000)

        assert decision.code is Code.ALLOWED
        assert second.store.boot == 2
        usage = {each.name: each.used for each in decision.limits}
        assert usage["build.sonnet-5.output_tokens.1m"] == 2000
        assert usage["build.sonnet-5.requests.1m"] == 2


def test_closing_leaves_no_threads(portal: FakePortal, clock: ManualClock, tmp_path: Path) -> None:
    rig = open_rig(portal, clock, tmp_path / "state")
    rig.level()

    rig.stop()

    threads = (rig.follower._thread, rig.follower.reporter.thread)
    assert not any(thread.is_alive() for thread in threads)
    assert rig.follower.standing().link is Link.CLOSED
