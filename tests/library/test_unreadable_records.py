"""Records that a gateway cannot read, or that name what it does not know."""

import hashlib

from plimsoll.decision import Code
from tests.library.rig import Rig, code_of


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
