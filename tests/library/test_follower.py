"""The gateway's side of the sync API: what it takes in, what it drops, and that it never gives up."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from plimsoll.decision import Code
from plimsoll.sync import Link
from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import Rig, open_rig, rig_on


def code_of(rig: Rig, secret: str) -> Code:
    return rig.enforcer.check(secret, model="sonnet-5").code


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


@pytest.mark.parametrize(
    "tamper",
    [
        lambda lines: [lines[0].replace(b'"active"', b'"activf"'), *lines[1:]],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[0].replace(b'"id":"', b'"id":"x'), *lines[1:]],
        lambda lines: [lines[0][:40] + b"\n", *lines[1:]],
        lambda lines: [b'{"t":"put"}\n', *lines],
        lambda lines: [*lines[:-1], lines[-1].replace(b'"count":', b'"count":1')],
    ],
    ids=["flipped", "dropped", "added", "cut", "garbled", "miscounted"],
)
def test_a_batch_that_does_not_add_up_is_never_used(
    rig: Rig, tamper: Callable[[list[bytes]], list[bytes]]
) -> None:
    before = rig.replica.head
    rig.portal.tamper = tamper
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.wait(lambda: rig.follower.standing().reason != "", "the batch was dropped")
    assert rig.replica.head == before
    assert code_of(rig, key.secret) is Code.KEY_UNKNOWN

    rig.portal.tamper = None
    rig.portal.drop()
    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_an_earlier_batch_that_comes_again_is_never_used(rig: Rig) -> None:
    """Paused and resumed, a key is as it was: the batch that paused it would add up once more."""
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    heard: list[list[bytes]] = []
    rig.portal.tamper = lambda lines: heard.append(lines) or lines
    for state in ("paused", "active"):
        rig.portal.change(key.id, state=state)
        rig.level()
    before = rig.replica.head

    def replay(_: list[bytes]) -> list[bytes]:
        rig.portal.is_down = True
        return heard[0]

    rig.portal.tamper = replay
    rig.portal.add_org("build")
    rig.wait(lambda: rig.follower.standing().reason != "", "the batch was dropped")

    assert rig.replica.head == before
    assert code_of(rig, key.secret) is Code.ALLOWED


def test_the_order_of_lines_in_a_batch_means_nothing(rig: Rig) -> None:
    rig.portal.tamper = lambda lines: [*reversed(lines[:-1]), lines[-1]]

    with rig.portal.batch():
        org = rig.portal.add_org("build")
        key = rig.portal.add_key(org)
    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_a_revocation_in_a_batch_that_does_not_add_up_holds_at_once(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    before = rig.replica.head

    def miscount(lines: list[bytes]) -> list[bytes]:
        # Nothing but this one batch tells the gateway.
        rig.portal.is_down = True
        return [*lines[:-1], lines[-1].replace(b'"count":', b'"count":1')]

    rig.portal.tamper = miscount
    rig.portal.revoke(key.id)
    rig.wait(lambda: code_of(rig, key.secret) is Code.KEY_REVOKED, "the key is refused")

    assert rig.replica.head == before


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


def test_a_bit_turned_in_the_time_lets_no_key_expire(rig: Rig) -> None:
    """No digest covers `now`."""
    org = rig.portal.add_org("build")
    key = rig.portal.add_key(org, expires_at=rig.portal.now + 86_400)
    rig.level()

    rig.portal.tamper = lambda lines: [
        *lines[:-1],
        re.sub(rb'"now":1', b'"now":3', lines[-1]),
    ]
    rig.portal.add_org("build")
    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


@pytest.mark.parametrize("more", [-1, 1])
def test_a_commit_that_names_another_revision_is_dropped(rig: Rig, more: int) -> None:
    """No digest covers the revision, and a cursor is made of it."""
    rig.portal.add_org("build")
    rig.level()

    def misname(lines: list[bytes]) -> list[bytes]:
        rig.portal.tamper = None
        said = rig.portal.revision
        return [*lines[:-1], lines[-1].replace(b'"rev":%d' % said, b'"rev":%d' % (said + more))]

    rig.portal.tamper = misname
    rig.portal.add_org("build")
    rig.level()

    assert "commit at" in rig.reasons()


def test_a_revocation_whose_commit_never_comes_holds(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()

    def cut(lines: list[bytes]) -> list[bytes]:
        rig.portal.is_down = True
        return lines[:-1]

    rig.portal.tamper = cut
    rig.portal.revoke(key.id)
    rig.wait(lambda: rig.portal.is_down, "the revocation was sent")
    rig.portal.beat()

    rig.wait(lambda: code_of(rig, key.secret) is Code.KEY_REVOKED, "the key is refused")


def test_two_bad_batches_in_a_row_lead_to_a_snapshot(rig: Rig) -> None:
    def garble_streams(lines: list[bytes]) -> list[bytes]:
        return lines[1:] if "stream=1" in asked() else lines

    def asked() -> str:
        return next(each for each in reversed(rig.portal.requests) if "/state" in each)

    rig.portal.tamper = garble_streams
    rig.portal.add_org("build")

    rig.level()

    snapshots = [each for each in rig.portal.requests if "/state" in each and "stream" not in each]
    assert len(snapshots) == 2
    assert "at_least=" in snapshots[1]


def test_a_portal_whose_sums_are_wrong_is_called_diverged(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    other = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    before = rig.replica.head

    rig.portal.digest ^= 1
    rig.portal.revoke(key.id)
    rig.wait_for_link(Link.DIVERGED)
    rig.wait(
        lambda: any(nack["code"] == "diverged" for r in rig.portal.reports for nack in r["nacks"]),
        "the portal was told",
    )

    assert rig.replica.head == before
    assert code_of(rig, key.secret) is Code.KEY_REVOKED
    assert code_of(rig, other.secret) is Code.ALLOWED


def test_a_diverged_gateway_goes_on_obeying_revocations(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    rig.portal.digest ^= 1
    rig.portal.add_org("build")
    rig.wait_for_link(Link.DIVERGED)

    rig.portal.revoke(key.id)

    rig.wait(lambda: code_of(rig, key.secret) is Code.KEY_REVOKED, "the key is refused")


def test_a_snapshot_that_was_damaged_on_its_way_is_asked_for_again_soon(
    rig: Rig, clock: ManualClock
) -> None:
    """On the stream meanwhile one lost line goes unnoticed, be it a revocation."""
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    damaged = []

    def damage(lines: list[bytes]) -> list[bytes]:
        damaged.append(lines)
        return lines[1:]

    rig.portal.tamper = damage
    rig.portal.add_org("build")
    rig.wait(lambda: rig.follower._snapshot_after > 0, "the snapshot is given up")
    # The stream that it follows all the same loses a line too, and then another one.
    snapshots = len(damaged)
    rig.wait(lambda: len(damaged) > snapshots, "it follows all the same")
    rig.portal.revoke(key.id)
    rig.wait(lambda: len(damaged) > snapshots + 1, "the revocation is lost")
    rig.portal.tamper = None

    clock.advance(1.1)
    rig.portal.beat()
    rig.level()

    assert code_of(rig, key.secret) is Code.KEY_REVOKED
    assert rig.follower.standing().link is Link.FOLLOWING


def test_a_foreign_digest_is_answered_with_a_new_store(rig: Rig, tmp_path: Path) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    (before,) = (tmp_path / "state").glob("state-*.db")

    rig.portal.new_epoch()
    rig.level()

    (after,) = (tmp_path / "state").glob("state-*.db")
    assert after.name > before.name
    assert code_of(rig, key.secret) is Code.ALLOWED


def test_a_refused_cursor_does_not_stop_the_serving(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    rig.portal.tamper = lambda lines: lines[:-1]

    rig.portal.new_epoch()
    rig.wait_for_link(Link.RECONNECTING)

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_a_restored_backup_cannot_raise_the_dead(rig: Rig) -> None:
    """Revocation is final: also for a portal that forgot it."""
    org = rig.portal.add_org("build")
    key, other = rig.portal.add_key(org), rig.portal.add_key(org)
    backup = rig.portal.save()
    rig.portal.revoke(key.id)
    rig.level()

    rig.portal.restore(backup)
    rig.portal.new_epoch()
    rig.level()

    assert code_of(rig, key.secret) is Code.KEY_REVOKED
    assert code_of(rig, other.secret) is Code.ALLOWED


def test_a_restored_backup_in_the_same_epoch_is_noticed(rig: Rig) -> None:
    org = rig.portal.add_org("build")
    backup = rig.portal.save()
    lost = rig.portal.add_key(org)
    rig.level()

    rig.portal.restore(backup)
    kept = rig.portal.add_key(org)
    rig.level()

    assert code_of(rig, kept.secret) is Code.ALLOWED
    assert code_of(rig, lost.secret) is Code.KEY_UNKNOWN


def test_counters_and_log_survive_a_new_epoch(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    rig.enforcer.check(key.secret, model="sonnet-5", max_tokens=1000)
    rig.enforcer.save()

    rig.portal.new_epoch()
    rig.level()

    usage = {each.name: each.used for each in rig.enforcer.limits(key.secret).limits}
    assert usage["build.sonnet-5.output_tokens.1m"] == 1000
    assert rig.replica.logbook.size == 2


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


def test_an_unknown_kind_of_record_is_stored_and_not_used(rig: Rig) -> None:
    rig.portal.put("weather", "today", b'{"wind":7}')
    rig.level()

    row = rig.store.find("weather", "today")

    assert row is not None
    assert row.data == b'{"wind":7}'


def test_a_key_that_cannot_be_read_counts_as_revoked_and_is_reported_once(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()

    digest = hashlib.sha256(key.secret.encode()).hexdigest()
    rig.portal.put("key", key.id, b'{"hash":"%b","colour":"red"}' % digest.encode())
    rig.level()
    rig.portal.beat()

    def nacks() -> list[dict[str, str]]:
        return [nack for report in rig.portal.reports for nack in report["nacks"]]

    rig.wait(lambda: bool(nacks()), "the portal was told")
    assert code_of(rig, key.secret) is Code.KEY_REVOKED
    assert [(nack["kind"], nack["id"], nack["code"]) for nack in nacks()] == [
        ("key", key.id, "unreadable")
    ]


def test_a_key_readable_again_is_used_again(rig: Rig) -> None:
    """An unreadable record says nothing about revocation, so nothing of it is remembered."""
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    record = rig.portal.save()["_records"]["key", key.id][1]
    rig.portal.put("key", key.id, b"{}")
    rig.level()
    assert code_of(rig, key.secret) is Code.KEY_REVOKED

    rig.portal.put("key", key.id, record)
    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_an_organisation_that_cannot_be_read_keeps_what_it_had(rig: Rig) -> None:
    org = rig.portal.add_org("build")
    key = rig.portal.add_key(org)
    rig.level()

    rig.portal.put("org", org, b'{"tier":[],"state":{}}')
    rig.portal.new_epoch()
    rig.level()

    assert code_of(rig, key.secret) is Code.ALLOWED


def test_a_tier_that_the_log_does_not_know_leaves_the_one_before(rig: Rig) -> None:
    org = rig.portal.add_org("build")
    key = rig.portal.add_key(org)
    rig.level()

    rig.portal.change(org, tier="palace")
    rig.level()

    decision = rig.enforcer.check(key.secret, model="sonnet-5")
    assert decision.code is Code.ALLOWED
    assert decision.limits[0].name.startswith("build.")


def test_a_new_organisation_on_an_unknown_tier_is_not_ready(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("palace"))
    rig.level()

    assert code_of(rig, key.secret) is Code.NOT_READY


def test_closing_leaves_no_threads(portal: FakePortal, clock: ManualClock, tmp_path: Path) -> None:
    rig = open_rig(portal, clock, tmp_path / "state")
    rig.level()

    rig.stop()

    threads = (rig.follower._thread, rig.follower.reporter.thread)
    assert not any(thread.is_alive() for thread in threads)
    assert rig.follower.standing().link is Link.CLOSED
