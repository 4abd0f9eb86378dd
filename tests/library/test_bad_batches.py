"""What comes to a gateway damaged, twice or not at all is never used, except for revocations."""

import re
from collections.abc import Callable

import pytest

from plimsoll.decision import Code
from plimsoll.sync import Link
from plimsoll.testing import ManualClock
from tests.library.rig import Rig, code_of


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
