"""A state loaded whole: found, changed and counted like one that came piece by piece."""

import hashlib
from pathlib import Path

import pytest

from plimsoll.decision import Code
from plimsoll.testing import FakeKey, FakePortal, ManualClock
from tests.library.rig import Rig, rig_on


@pytest.fixture
def keys(portal: FakePortal) -> list[FakeKey]:
    """More keys than fit into one block, before any gateway was there."""
    org = portal.add_org("build")
    with portal.batch():
        return [portal.add_key(org) for _ in range(200)]


@pytest.fixture
def whole(portal: FakePortal, clock: ManualClock, keys: list[FakeKey], tmp_path: Path) -> Rig:
    assert keys
    with rig_on(portal, clock, tmp_path / "state") as rig:
        yield rig  # type: ignore[misc]


def code_of(rig: Rig, key: FakeKey) -> Code:
    return rig.enforcer.check(key.secret, model="sonnet-5").code


def test_every_key_of_a_snapshot_is_found(whole: Rig, keys: list[FakeKey]) -> None:
    assert {code_of(whole, key) for key in keys} == {Code.ALLOWED}
    assert whole.replica.head is not None
    assert whole.replica.head.records == len(keys) + 4


def test_a_key_of_a_snapshot_can_change(whole: Rig, keys: list[FakeKey]) -> None:
    assert code_of(whole, keys[70]) is Code.ALLOWED

    whole.portal.revoke(keys[70].id)
    whole.portal.change(keys[71].id, state="paused")
    whole.level()

    assert code_of(whole, keys[70]) is Code.KEY_REVOKED
    assert code_of(whole, keys[71]) is Code.KEY_PAUSED
    assert code_of(whole, keys[72]) is Code.ALLOWED


def test_a_key_of_a_snapshot_that_becomes_unreadable_is_refused(
    whole: Rig, keys: list[FakeKey]
) -> None:
    """Nothing in the new record says whose it is, and yet its caller must not pass."""
    whole.portal.put("key", keys[5].id, b"{}")
    whole.level()

    assert code_of(whole, keys[5]) is Code.KEY_REVOKED
    assert [each for each in whole.portal.requests if each == "/sync/v1/state"] == [
        "/sync/v1/state"
    ]


def test_a_key_whose_hash_changes_is_found_by_the_new_one_alone(
    whole: Rig, keys: list[FakeKey]
) -> None:
    """A key keeps its hash for life; a portal that breaks this costs a snapshot, no more."""
    other = FakeKey(keys[9].id, keys[9].secret[:-1])
    digest = hashlib.sha256(other.secret.encode()).hexdigest()

    whole.portal.change(keys[9].id, hash=digest)
    whole.level()

    assert code_of(whole, other) is Code.ALLOWED
    assert code_of(whole, keys[9]) is Code.KEY_UNKNOWN


@pytest.mark.parametrize("data", [b"{}", b'{"hash":"zzzzzzzzzzzzzzzzzzzz"}', b'{"hash":""}', b"7"])
def test_an_unreadable_key_in_a_snapshot_is_stored_and_reported(
    portal: FakePortal, clock: ManualClock, tmp_path: Path, data: bytes
) -> None:
    portal.put("key", "key_odd", data)
    with rig_on(portal, clock, tmp_path / "state") as rig:
        row = rig.store.find("key", "key_odd")

        assert row is not None
        assert row.data == data
        rig.wait(lambda: any(report["nacks"] for report in portal.reports), "it was reported")


def test_a_revoked_key_in_a_snapshot_is_remembered(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    key = portal.add_key(portal.add_org("build"))
    backup = portal.save()
    portal.revoke(key.id)
    with rig_on(portal, clock, tmp_path / "state") as rig:
        portal.restore(backup)
        portal.new_epoch()
        rig.level()

        assert code_of(rig, key) is Code.KEY_REVOKED


def test_a_snapshot_that_is_cut_off_changes_nothing(
    whole: Rig, keys: list[FakeKey], tmp_path: Path
) -> None:
    before = whole.replica.head
    whole.portal.tamper = lambda lines: lines[: len(lines) // 2]

    whole.portal.new_epoch()
    asked = len(whole.portal.requests)
    whole.wait(lambda: len(whole.portal.requests) > asked + 6, "it asked again and again")

    assert whole.replica.head == before
    assert {code_of(whole, key) for key in keys} == {Code.ALLOWED}
    whole.portal.tamper = None
    whole.level()
    assert not list((tmp_path / "state").glob("*.loading"))


def test_news_that_follows_a_snapshot_in_one_answer_is_not_lost(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    """A portal may send an older snapshot and what came after it in the same breath."""
    org = portal.add_org("build")
    key = portal.add_key(org)
    older = portal._delta(0)
    portal.revoke(key.id)

    def breathless(lines: list[bytes]) -> list[bytes]:
        return lines if "stream=1" in portal.requests[-1] else [*older, *lines[-4:]]

    portal.tamper = breathless
    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert code_of(rig, key) is Code.KEY_REVOKED
