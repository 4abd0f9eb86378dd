"""The log at the gateway: nothing is folded that is not signed, lawful and of the one history."""

from pathlib import Path

import pytest

from plimsoll.contract import checkpoint, records
from plimsoll.decision import Code
from plimsoll.errors import LogProblem
from plimsoll.replica import Replica
from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import Rig, rig_on, small_catalog


def problem_of(rig: Rig) -> str | None:
    problem = rig.replica.log_problem
    return None if problem is None else problem.code


def told(rig: Rig, code: str) -> bool:
    return any(nack["code"] == code for report in rig.portal.reports for nack in report["nacks"])


def test_limits_come_from_the_log_alone(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()

    names = [each.name for each in rig.enforcer.check(key.secret, model="sonnet-5").limits]

    assert names == [
        "build.sonnet-5.input_tokens.1m",
        "build.sonnet-5.output_tokens.1m",
        "build.sonnet-5.requests.1m",
        "build.all.spend_microusd.month",
    ]


def test_entries_above_the_signed_size_wait(rig: Rig) -> None:
    rig.portal.log("change.announced", {"change": 2})
    rig.level()

    assert rig.replica.logbook.size == 2
    assert rig.replica.log_problem is None


def test_an_entry_that_breaks_the_rule_is_refused_although_signed(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.portal.log("change.announced", rig.portal.entry(1)["body"])
    rig.portal.sign()
    rig.level()

    assert problem_of(rig) == "entry_refused"
    assert rig.replica.logbook.size == 2
    assert rig.enforcer.check(key.secret, model="sonnet-5").code is Code.ALLOWED
    rig.wait(lambda: told(rig, "entry_refused"), "the portal was told")


def test_a_rewritten_history_is_a_fork(rig: Rig) -> None:
    entry = rig.portal.entry(1)
    entry["body"]["title"] = "Other limits"

    rig.portal.fork_log(1, entry)
    rig.portal.sign()
    rig.level()

    assert problem_of(rig) == "log_forked"
    title = rig.replica.policy().changes[1].announcement.title
    assert title != "Other limits"


def test_an_entry_that_was_changed_on_the_way_is_never_folded(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    """The sync digest may be the portal's own: only the signed root says what was published."""
    entry = portal.entry(1)
    entry["body"]["title"] = "Other limits"
    portal.fork_log(1, entry)

    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert problem_of(rig) == "log_forked"
        assert rig.replica.logbook.size == 0


def test_an_entry_that_is_missing_stops_the_log_there(clock: ManualClock, tmp_path: Path) -> None:
    portal = FakePortal(clock=clock)
    portal.publish(small_catalog())
    portal.forget("entry", "1")

    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert problem_of(rig) == "log_incomplete"
        assert rig.replica.logbook.size == 0


def test_a_forked_log_is_never_taken_in_by_a_new_epoch(rig: Rig) -> None:
    entry = rig.portal.entry(1)
    entry["body"]["title"] = "Other limits"
    rig.portal.fork_log(1, entry)
    rig.portal.sign()

    rig.portal.new_epoch()
    rig.level()

    assert problem_of(rig) == "log_forked"
    assert rig.replica.policy().changes[1].announcement.title != "Other limits"


def test_a_shorter_log_of_the_same_history_changes_nothing(rig: Rig) -> None:
    rig.portal.sign(size=1)
    rig.level()

    assert problem_of(rig) == "log_behind"
    assert rig.replica.logbook.size == 2
    assert rig.replica.policy().limits


def test_a_log_in_order_again_clears_the_problem(rig: Rig) -> None:
    rig.portal.sign(size=1)
    rig.level()

    rig.portal.sign()
    rig.level()

    assert rig.replica.log_problem is None
    assert Replica(rig.store, clock=rig.clock).log_problem is None


@pytest.mark.parametrize("code", ["log_behind", "log_forked", "log_unsigned"])
def test_a_log_that_was_refused_is_refused_after_a_restart_without_its_portal_too(
    portal: FakePortal, clock: ManualClock, tmp_path: Path, code: str
) -> None:
    with rig_on(portal, clock, tmp_path / "state") as rig:
        if code == "log_behind":
            portal.sign(size=1)
        elif code == "log_forked":
            entry = portal.entry(1)
            entry["body"]["title"] = "Other limits"
            portal.fork_log(1, entry)
            portal.sign()
        else:
            portal.sign(seed=b"\x07" * 32)
        rig.level()
        assert problem_of(rig) == code

    portal.is_down = True
    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert problem_of(rig) == code
        assert rig.replica.policy().limits


def test_a_log_that_was_refused_for_a_wrong_pin_is_taken_at_the_start_with_the_right_one(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    right = fingerprint_of(portal, clock, tmp_path / "other")
    with rig_on(portal, clock, tmp_path / "state", fingerprint="0" * 64) as rig:
        assert problem_of(rig) == "log_unsigned"

    portal.is_down = True
    for pinned in (right, "0" * 64):  # what was verified is kept, and is not judged again
        with rig_on(portal, clock, tmp_path / "state", fingerprint=pinned) as rig:
            assert rig.replica.log_problem is None
            assert rig.replica.logbook.size == 2
            assert rig.replica.policy().limits


def test_another_signature_is_not_believed(rig: Rig) -> None:
    rig.portal.sign(seed=b"\x07" * 32)
    rig.level()

    assert problem_of(rig) == "log_unsigned"
    assert rig.replica.policy().limits


def test_the_key_of_the_log_stays_pinned_over_a_new_epoch_and_a_restart(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    with rig_on(portal, clock, tmp_path / "state"):
        pass
    impostor = FakePortal(clock=clock, origin="impostor.test/log")
    impostor.publish(small_catalog())

    with rig_on(impostor, clock, tmp_path / "state") as rig:
        assert problem_of(rig) == "log_unsigned"
        assert rig.replica.logbook.origin == portal.origin


def test_a_fingerprint_given_beforehand_is_held_against_the_first_entry(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    right = fingerprint_of(portal, clock, tmp_path / "first")

    for pinned, size in ((right, 2), ("0" * 64, 0)):
        with rig_on(portal, clock, tmp_path / pinned, fingerprint=pinned) as rig:
            assert rig.replica.logbook.size == size


def fingerprint_of(portal: FakePortal, clock: ManualClock, state: Path) -> str:
    with rig_on(portal, clock, state) as rig:
        public_key = rig.replica.logbook.public_key
    assert public_key is not None
    return checkpoint.fingerprint(public_key)


def test_without_a_verified_log_nothing_is_let_through(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    key = portal.add_key(portal.add_org("build"))
    portal.sign(seed=b"\x07" * 32)

    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert rig.enforcer.check(key.secret, model="sonnet-5").code is Code.NOT_READY


def test_a_checkpoint_that_cannot_be_read_keeps_the_last_good_limits(rig: Rig) -> None:
    rig.portal.put("checkpoint", records.CHECKPOINT_ID, b'{"text":7}')
    rig.level()

    assert isinstance(rig.replica.log_problem, LogProblem)
    assert rig.replica.policy().limits


@pytest.mark.parametrize(("seconds", "has_limits"), [(0, False), (3599, False), (3600, True)])
def test_a_change_takes_effect_at_its_instant_with_no_word_from_the_portal(
    *, clock: ManualClock, tmp_path: Path, seconds: int, has_limits: bool
) -> None:
    portal = FakePortal(clock=clock)
    portal.publish(small_catalog({"quota": 5}), effective_in=3600)
    key = portal.add_key(portal.add_org("build"))

    with rig_on(portal, clock, tmp_path / "state") as rig:
        clock.advance(seconds)
        decision = rig.enforcer.check(key.secret, model="m")

    assert bool(decision.limits) is has_limits
    assert decision.code is (Code.ALLOWED if has_limits else Code.NOT_READY)
