"""A portal with another history: a gateway loads it anew, and forgets no revocation."""

from pathlib import Path

from plimsoll.decision import Code
from plimsoll.sync import Link
from tests.library.rig import Rig, code_of


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
