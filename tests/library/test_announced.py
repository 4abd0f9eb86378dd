"""Notice in-band: what an answer says of a tightening that will meet its caller (LIMITS.md section 1)."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from plimsoll.decision import Decision
from plimsoll.enforcer import Enforcer
from plimsoll.middleware.wsgi import Described, GuardMiddleware
from plimsoll.testing import FakePortal, ManualClock
from tests.library.rig import Rig, rig_on, small_catalog

DAY = 86_400
MONTH = 30 * DAY

CUT = {"tier": "build", "model": "m", "metric": "requests", "kind": "bucket", "period": 60}


def cut(quota: int = 5, **fields: object) -> dict[str, object]:
    """A change file that gives one row of the small catalogue another quota."""
    return {"rows": [{**CUT, **fields, "quota": quota}]}


@pytest.fixture
def portal(clock: ManualClock) -> FakePortal:
    made = FakePortal(clock=clock)
    made.publish(small_catalog({"quota": 10}, {"model": "*", "quota": 20}))
    return made


@pytest.fixture
def secret(rig: Rig) -> str:
    key = rig.portal.add_key(rig.portal.add_org("build"))
    rig.level()
    return key.secret


def ask(rig: Rig, secret: str, model: str | None = "m") -> Decision:
    rig.level()
    return rig.enforcer.check(secret, model=model)


def said(decision: Decision) -> dict[str, str]:
    names = {"Link", "Plimsoll-Limit-Change"}
    return {name: value for name, value in decision.headers() if name in names}


def announced(rig: Rig, secret: str, model: str | None = "m") -> str | None:
    """The number of the change that an answer names."""
    field = said(ask(rig, secret, model)).get("Plimsoll-Limit-Change")
    return None if field is None else field.partition(";")[0]


def test_an_answer_names_the_tightening_that_will_meet_its_caller(rig: Rig, secret: str) -> None:
    assert said(ask(rig, secret)) == {}

    rig.portal.announce(cut(), effective_in=MONTH)

    assert said(ask(rig, secret)) == {
        "Link": '<https://portal.test/changelog/2>; rel="describedby"',
        "Plimsoll-Limit-Change": f'2;effective=@{rig.portal.now + MONTH};direction="tightening"',
    }


def test_a_refusal_says_it_too(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(), effective_in=MONTH)

    decisions = [ask(rig, secret) for _ in range(11)]

    assert decisions[-1].status == 429
    assert said(decisions[-1]) == said(decisions[0]) != {}


def test_nothing_is_said_of_what_grows(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(50), effective_in=MONTH)
    rig.portal.announce(
        {**cut(90), "class": "temporary_raise"}, effective_in=DAY, expires_in=2 * DAY
    )

    assert announced(rig, secret) is None


def test_a_mixed_change_says_so(rig: Rig, secret: str) -> None:
    rows = [{**CUT, "quota": 5}, {**CUT, "model": "*", "quota": 50}]
    rig.portal.announce({"rows": rows}, effective_in=MONTH)

    assert said(ask(rig, secret))["Plimsoll-Limit-Change"].endswith(';direction="mixed"')


def test_callers_whom_it_does_not_touch_hear_nothing(rig: Rig, secret: str) -> None:
    other = rig.portal.add_key(rig.portal.add_org("other"))

    rig.portal.announce(cut(), effective_in=MONTH)

    assert announced(rig, secret) == "2"
    assert announced(rig, secret, None) is None, "a request without a model meets no limit of m"
    assert announced(rig, other.secret, "n") is None


def test_a_shared_limit_touches_every_request_of_its_tier(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(model="*"), effective_in=MONTH)

    assert announced(rig, secret) == "2"
    assert announced(rig, secret, None) == "2"


def test_a_retirement_is_said_to_those_who_use_it(rig: Rig, secret: str) -> None:
    rig.portal.announce({"offers": [{"tier": "build", "model": "n"}]})
    gone = {"tier": "build", "model": "m", "offered": False}
    replacement = {"tier": "build", "model": "n"}
    rig.portal.announce({"offers": [{**gone, "replacement": replacement}]}, effective_in=90 * DAY)

    assert announced(rig, secret, "m") == "3"
    assert announced(rig, secret, "n") is None


def test_of_several_the_nearest_is_named_and_then_the_next(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(3), effective_in=MONTH + 10)
    rig.portal.announce(cut(5), effective_in=MONTH)
    assert announced(rig, secret) == "3"

    rig.clock.advance(MONTH)

    assert announced(rig, secret) == "2"


def test_it_ends_at_the_effective_instant(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(), effective_in=MONTH)
    rig.level()
    rig.portal.is_down = True
    rig.portal.drop()

    rig.clock.advance(MONTH - 1)
    before = announced_now(rig, secret)
    rig.clock.advance(1)

    assert (before, announced_now(rig, secret)) == ("2", None)


def announced_now(rig: Rig, secret: str) -> str | None:
    """As `announced`, with the portal away."""
    decision = rig.enforcer.check(secret, model="m")
    field = said(decision).get("Plimsoll-Limit-Change")
    return None if field is None else field.partition(";")[0]


@pytest.mark.parametrize("act", [FakePortal.hold, FakePortal.withdraw])
def test_it_ends_when_the_change_is_held_or_withdrawn(
    rig: Rig, secret: str, act: Callable[[FakePortal, int], None]
) -> None:
    rig.portal.announce(cut(), effective_in=MONTH)
    assert announced(rig, secret) == "2"

    act(rig.portal, 2)

    assert announced(rig, secret) is None


def test_a_rescheduled_change_names_its_new_instant(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(), effective_in=MONTH)
    assert announced(rig, secret) == "2"

    rig.portal.reschedule(2, effective_in=MONTH + DAY)

    at = rig.portal.now + MONTH + DAY
    assert f";effective=@{at};" in said(ask(rig, secret))["Plimsoll-Limit-Change"]


def test_it_is_said_again_after_a_restart_without_the_portal(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    key = portal.add_key(portal.add_org("build"))
    portal.announce(cut(), effective_in=MONTH)
    with rig_on(portal, clock, tmp_path / "state"):
        pass
    portal.is_down = True

    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert announced_now(rig, key.secret) == "2"


def test_without_the_portals_address_there_is_no_link(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(), effective_in=MONTH)
    rig.level()

    decision = Enforcer(rig.replica).check(secret, model="m")

    assert list(said(decision)) == ["Plimsoll-Limit-Change"]


def linking(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """An application that has a link of its own."""
    headers = [("Content-Type", "text/plain"), ("Link", '</next>; rel="next"')]
    start_response("200 OK", headers)
    return [b"an answer"]


def call(rig: Rig, secret: str) -> list[tuple[str, str]]:
    """The headers of an answer through the middleware."""
    app: Any = linking
    guard: Any = GuardMiddleware(app, rig.enforcer, describe=lambda _: Described(model="m"))
    environ: dict[str, Any] = {"QUERY_STRING": "", "HTTP_AUTHORIZATION": f"Bearer {secret}"}
    setup_testing_defaults(environ)
    seen: list[tuple[str, str]] = []

    def start(_status: str, headers: list[tuple[str, str]], _exc: object = None) -> Any:
        seen.extend(headers)
        return lambda _: None

    body: Iterator[bytes] = validator(guard)(environ, start)  # type: ignore[assignment]
    for _ in body:
        pass
    body.close()  # type: ignore[attr-defined]
    return seen


def test_the_applications_own_link_stays_beside_it(rig: Rig, secret: str) -> None:
    rig.portal.announce(cut(), effective_in=MONTH)
    rig.level()

    headers = call(rig, secret)

    assert [value for name, value in headers if name == "Link"] == [
        '</next>; rel="next"',
        '<https://portal.test/changelog/2>; rel="describedby"',
    ]
