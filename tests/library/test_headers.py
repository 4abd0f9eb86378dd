"""What a decision looks like to the caller (LIMITS.md section 1, draft-ietf-httpapi-ratelimit-headers-11)."""

from pathlib import Path

import pytest

from plimsoll.decision import Decision
from plimsoll.headers import PROBLEM_TYPE, QUOTA_EXCEEDED, rfc3339
from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import Rig, rig_on, small_catalog

# A Monday, 2026-11-23 02:13:20 UTC.
START = 1_795_400_000


def decide(
    rows: list[dict[str, object]], tmp_path: Path, *, asks: list[dict[str, int]]
) -> Decision:
    """The last of several decisions over rows of one tier."""
    clock = ManualClock(START)
    portal = FakePortal(clock=clock)
    portal.publish(small_catalog(*rows))
    key = portal.add_key(portal.add_org("build"))
    with rig_on(portal, clock, tmp_path / "state") as rig:
        decisions = [rig.enforcer.check(key.secret, model="m", **asked) for asked in asks]
    return decisions[-1]


def test_every_applying_limit_is_in_the_policy_and_the_tightest_in_the_state(
    tmp_path: Path,
) -> None:
    rows = [{"quota": 100}, {"metric": "output_tokens", "quota": 1000, "burst": 2000}]

    headers = dict(decide(rows, tmp_path, asks=[{"max_tokens": 900}]).headers())

    assert headers == {
        "RateLimit-Policy": '"build.m.output_tokens.1m";q=1000;w=60, "build.m.requests.1m";q=100;w=60',
        "RateLimit": '"build.m.requests.1m";r=99;t=1',
    }


def test_equally_tight_limits_are_told_by_name(tmp_path: Path) -> None:
    rows = [{"quota": 10}, {"model": "*", "quota": 10}]

    headers = dict(decide(rows, tmp_path, asks=[{}]).headers())

    assert headers["RateLimit"].startswith('"build.all.requests.1m"')


def test_a_months_window_is_as_long_as_the_month(tmp_path: Path) -> None:
    rows = [{"kind": "window", "period": "month", "quota": 10}]

    headers = dict(decide(rows, tmp_path, asks=[{}]).headers())

    assert headers["RateLimit-Policy"] == '"build.m.requests.month";q=10;w=2592000'
    december = 1_796_083_200
    assert headers["RateLimit"] == f'"build.m.requests.month";r=9;t={december - START}'


def test_concurrency_has_no_window(tmp_path: Path) -> None:
    rows = [{"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 2}]

    headers = dict(decide(rows, tmp_path, asks=[{}]).headers())

    assert headers["RateLimit-Policy"] == '"build.m.concurrent_requests.now";q=2'
    assert headers["RateLimit"] == '"build.m.concurrent_requests.now";r=1'


def test_a_refusal_says_which_limit_and_when_it_fits(tmp_path: Path) -> None:
    decision = decide([{"quota": 7}], tmp_path, asks=[{}] * 8)

    assert decision.problem() == {
        "type": QUOTA_EXCEEDED,
        "title": "You have reached a limit",
        "status": 429,
        "code": "limit_exceeded",
        "detail": "build.m.requests.1m: 7 of 7 in use. This request fits at 2026-11-23T02:13:28.572Z.",
        "violated-policies": ["build.m.requests.1m"],
        "limit": "build.m.requests.1m",
        "metric": "requests",
        "quota": 7,
        "used": 7,
        "period": 60,
        "enough_at": "2026-11-23T02:13:28.572Z",
        "retry_after_ms": 8572,
    }
    assert dict(decision.headers())["Retry-After"] == "9"


def test_a_windows_refusal_says_when_it_resets(tmp_path: Path) -> None:
    rows = [{"kind": "window", "period": 86_400, "quota": 1}]

    problem = decide(rows, tmp_path, asks=[{}, {}]).problem()

    assert problem["resets_at"] == "2026-11-24T00:00:00Z"
    assert "enough_at" not in problem


def test_requests_in_flight_have_no_time_to_wait_for(tmp_path: Path) -> None:
    rows = [{"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 1}]

    decision = decide(rows, tmp_path, asks=[{}, {}])

    assert decision.problem()["retry_after_ms"] is None
    assert dict(decision.headers())["Retry-After"] == "1"


def test_all_refusing_limits_are_named_and_the_slowest_explained(tmp_path: Path) -> None:
    rows = [{"quota": 1}, {"quota": 1, "period": 3600}, {"metric": "input_tokens", "quota": 9}]

    problem = decide(rows, tmp_path, asks=[{}, {}]).problem()

    assert problem["violated-policies"] == ["build.m.requests.1m", "build.m.requests.1h"]
    assert (problem["limit"], problem["period"]) == ("build.m.requests.1h", 3600)


def test_too_large_a_request_is_not_told_to_come_back(tmp_path: Path) -> None:
    decision = decide(
        [{"metric": "input_tokens", "quota": 9}], tmp_path, asks=[{"input_tokens": 10}]
    )

    assert decision.problem()["code"] == "request_too_large"
    assert decision.problem()["limit"] == "build.m.input_tokens.1m"
    assert "Retry-After" not in dict(decision.headers())


def test_a_limit_that_changed_lately_names_its_change(rig: Rig) -> None:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    decision = rig.enforcer.check(key.secret, model="sonnet-5")
    assert {each.change for each in decision.limits} == {None}  # the opening table cut nobody


@pytest.mark.parametrize(("secret", "challenge"), [(None, "Bearer"), ("x", "Bearer")])
def test_401_says_how_to_identify_oneself(rig: Rig, secret: str | None, challenge: str) -> None:
    headers = dict(rig.enforcer.check(secret).headers())

    assert headers == {"WWW-Authenticate": challenge}


def test_instants_are_utc_with_z() -> None:
    assert rfc3339(START * 1000 + 999) == "2026-11-23T02:13:20Z"
    assert rfc3339(START * 1000 + 9, milliseconds=True) == "2026-11-23T02:13:20.009Z"
    assert PROBLEM_TYPE == "application/problem+json"
