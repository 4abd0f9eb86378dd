"""Each refusal has its code and status, and an order when several hold (EXACT.md 23, 24)."""

from pathlib import Path

import pytest

from plimsoll.contract import tokens
from plimsoll.decision import STATUSES, Code
from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import Rig, open_rig, rig_on

UNKNOWN = tokens.build("plim_live_", "0" * 30)
CAP = {
    "model": "*",
    "metric": "requests",
    "kind": "bucket",
    "period": 60,
    "quota": 0,
    "burst": 0,
}


def refusal(rig: Rig, secret: str | None, **asked: object) -> tuple[Code, int]:
    decision = rig.enforcer.check(secret, **{"model": "sonnet-5", **asked})  # type: ignore[arg-type]
    assert not decision
    assert decision.id == ""
    assert decision.problem()["code"] == decision.code
    assert decision.problem()["status"] == decision.status
    return decision.code, decision.status


@pytest.mark.parametrize("secret", [None, ""])
def test_no_key_is_key_missing(rig: Rig, secret: str | None) -> None:
    assert refusal(rig, secret) == (Code.KEY_MISSING, 401)


@pytest.mark.parametrize(
    "secret",
    ["x", "plim_live_", UNKNOWN[:-1], UNKNOWN[:-1] + "x", UNKNOWN + "0", "plim_live_ü", "\ud800"],
)
def test_a_mistyped_key_is_key_malformed(rig: Rig, secret: str) -> None:
    assert refusal(rig, secret) == (Code.KEY_MALFORMED, 401)


def test_a_well_formed_key_that_nobody_has_is_key_unknown(rig: Rig) -> None:
    assert refusal(rig, UNKNOWN) == (Code.KEY_UNKNOWN, 401)


@pytest.mark.parametrize(
    ("fields", "code", "status"),
    [
        ({"state": "revoked"}, Code.KEY_REVOKED, 401),
        ({"expires_at": 1}, Code.KEY_EXPIRED, 401),
        ({"state": "paused"}, Code.KEY_PAUSED, 403),
        ({"networks": []}, Code.NETWORK_NOT_ALLOWED, 403),
        ({"models": []}, Code.MODEL_NOT_ALLOWED, 403),
        ({"models": ["haiku-4.5"]}, Code.MODEL_NOT_ALLOWED, 403),
    ],
)
def test_a_key_that_may_not_is_refused_by_its_own_code(
    rig: Rig, fields: dict[str, object], code: Code, status: int
) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"), **fields)
    rig.level()

    assert refusal(rig, key.secret, client_ip="192.0.2.1") == (code, status)


def test_a_suspended_organisation_is_org_suspended(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build", state="suspended"))
    rig.level()

    assert refusal(rig, key.secret) == (Code.ORG_SUSPENDED, 403)


@pytest.mark.parametrize("model", ["gpt", "Sonnet-5", "*", "all"])
def test_a_model_that_the_tier_does_not_offer_is_model_not_allowed(rig: Rig, model: str) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()

    assert refusal(rig, key.secret, model=model) == (Code.MODEL_NOT_ALLOWED, 403)


def test_a_key_bound_to_models_never_passes_without_naming_one(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"), models=["sonnet-5"])
    rig.level()

    assert refusal(rig, key.secret, model=None) == (Code.MODEL_NOT_ALLOWED, 403)


def test_a_request_that_no_limit_ever_admits_is_too_large(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()

    assert refusal(rig, key.secret, max_tokens=1_000_001) == (Code.REQUEST_TOO_LARGE, 413)
    assert refusal(rig, key.secret, input_tokens=5_000_001) == (Code.REQUEST_TOO_LARGE, 413)


def test_a_limit_that_is_used_up_is_limit_exceeded(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    assert rig.enforcer.check(key.secret, model="sonnet-5", max_tokens=1_000_000)

    assert refusal(rig, key.secret, max_tokens=1) == (Code.LIMIT_EXCEEDED, 429)


def test_no_state_is_not_ready_whatever_is_sent(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    portal.is_down = True
    with rig_on(portal, clock, tmp_path / "state") as rig:
        for secret in (None, "x", UNKNOWN):
            assert refusal(rig, secret) == (Code.NOT_READY, 503)


def test_when_several_hold_the_first_of_the_order_is_named(rig: Rig) -> None:
    """Each step mends the first reason, so the next comes to light."""
    org = rig.portal.add_org("build", state="suspended")
    key = rig.portal.add_key(org, state="paused", expires_at=1, networks=[], models=[], caps=[CAP])
    seen = []
    mends: list[tuple[str, dict[str, object]]] = [
        (key.id, {"expires_at": None}),
        (key.id, {"state": "active"}),
        (org, {"state": "active"}),
        (key.id, {"networks": None}),
        (key.id, {"models": None}),
        (key.id, {"caps": []}),
    ]
    for record, fields in mends:
        rig.level()
        seen.append(refusal(rig, key.secret)[0])
        rig.portal.change(record, **fields)
    rig.level()

    assert seen == [
        Code.KEY_EXPIRED,
        Code.KEY_PAUSED,
        Code.ORG_SUSPENDED,
        Code.NETWORK_NOT_ALLOWED,
        Code.MODEL_NOT_ALLOWED,
        Code.REQUEST_TOO_LARGE,
    ]
    assert rig.enforcer.check(key.secret, model="sonnet-5")


def test_revoked_comes_before_expired(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"), state="revoked", expires_at=1)
    rig.level()

    assert refusal(rig, key.secret)[0] is Code.KEY_REVOKED


def test_a_key_expires_at_its_instant_to_the_millisecond(rig: Rig) -> None:
    expires_at = rig.portal.now + 60
    key = rig.portal.add_key(rig.portal.add_org("build"), expires_at=expires_at)
    rig.level()

    rig.clock.advance_ms(59_999)
    assert rig.enforcer.check(key.secret, model="sonnet-5")

    rig.clock.advance_ms(1)
    assert refusal(rig, key.secret)[0] is Code.KEY_EXPIRED


def test_a_portal_set_back_cannot_lengthen_a_keys_life(rig: Rig) -> None:
    """Expiry goes by the later of our own clock and the portal's."""
    key = rig.portal.add_key(rig.portal.add_org("build"), expires_at=rig.portal.now + 60)
    rig.level()

    rig.clock.set_wall(rig.clock.now() + 60)

    assert refusal(rig, key.secret)[0] is Code.KEY_EXPIRED


@pytest.mark.parametrize(
    ("client_ip", "allowed"),
    [
        ("192.0.2.1", True),
        ("192.0.3.1", False),
        ("::ffff:192.0.2.1", True),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_a_key_with_networks_is_used_from_those_only(
    rig: Rig, client_ip: str | None, *, allowed: bool
) -> None:
    networks = ["192.0.2.0/24", "2001:db8::/32"]
    key = rig.portal.add_key(rig.portal.add_org("build"), networks=networks)
    rig.level()

    decision = rig.enforcer.check(key.secret, model="sonnet-5", client_ip=client_ip)

    assert decision.allowed is allowed


def test_a_refusal_costs_nothing(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    rig.enforcer.check(key.secret, model="sonnet-5", max_tokens=1_000_000)
    before = [each.used for each in rig.enforcer.limits(key.secret).limits]

    refusal(rig, key.secret, input_tokens=10, max_tokens=10)

    assert [each.used for each in rig.enforcer.limits(key.secret).limits] == before


def test_an_observing_gateway_lets_pass_what_it_would_refuse(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    org = portal.add_org("build")
    paused = portal.add_key(org, state="paused")
    revoked = portal.add_key(org, state="revoked")
    suspended = portal.add_key(portal.add_org("build", state="suspended"))
    with rig_on(portal, clock, tmp_path / "state", observe=True) as rig:
        decision = rig.enforcer.check(paused.secret, model="sonnet-5")

        assert decision
        assert (decision.status, decision.code) == (200, Code.KEY_PAUSED)
        assert rig.enforcer.tally[Code.KEY_PAUSED] == 1
        assert refusal(rig, UNKNOWN)[0] is Code.KEY_UNKNOWN
        assert refusal(rig, revoked.secret)[0] is Code.KEY_REVOKED
        assert refusal(rig, suspended.secret)[0] is Code.ORG_SUSPENDED


def test_a_state_older_than_allowed_is_not_decided_from(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    key = portal.add_key(portal.add_org("build"))
    rig = open_rig(portal, clock, tmp_path / "state", max_stale_seconds=60)
    rig.level()
    portal.is_down = True
    portal.drop()
    clock.advance(60)
    assert rig.enforcer.check(key.secret, model="sonnet-5")
    rig.stop()

    with rig_on(portal, clock, tmp_path / "state", max_stale_seconds=60) as again:
        assert again.enforcer.check(key.secret, model="sonnet-5")
        clock.advance(1)
        assert refusal(again, key.secret) == (Code.NOT_READY, 503)


def test_each_code_has_a_status_and_words(rig: Rig) -> None:
    assert set(STATUSES) == set(Code)
    for code in set(Code) - {Code.ALLOWED, Code.LIMIT_EXCEEDED, Code.REQUEST_TOO_LARGE}:
        decision = rig.enforcer._refuse(code)
        assert decision.problem()["type"] == f"/problems/{code}"
        assert decision.problem()["detail"]
