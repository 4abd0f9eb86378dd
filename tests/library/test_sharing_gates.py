"""Applications guarded in their own process that count together (SYNC.md section 3.9)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from plimsoll.gateway import Gateway
from plimsoll.middleware.wsgi import Described, GuardMiddleware
from plimsoll.testing import FakePortal, SystemClock
from tests.library.rig import small_catalog
from tests.support.product import eventually
from tests.support.valkey import Valkey

QUOTA = 100


def hello(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Application:
    """One guarded application, and the one caller that it has."""

    def __init__(self, gateway: Gateway, secret: str) -> None:
        self.gateway = gateway
        guard = GuardMiddleware(hello, gateway.enforcer, describe=lambda _: Described(model="m"))
        self._client = httpx2.Client(
            transport=httpx2.WSGITransport(guard),
            base_url="http://api.test",
            headers={"Authorization": f"Bearer {secret}"},
        )

    def get(self) -> httpx2.Response:
        return self._client.get("/")

    def admitted(self, requests: int) -> int:
        """How many of so many requests pass."""
        return sum(self.get().status_code == 200 for _ in range(requests))


@pytest.fixture
def portal() -> FakePortal:
    made = FakePortal(clock=SystemClock(), heartbeat=0.2)
    made.publish(small_catalog({"kind": "window", "period": 86_400, "quota": QUOTA}))
    return made


@pytest.fixture
def guarded(portal: FakePortal, tmp_path: Path) -> Iterator[Callable[[str, Valkey], Application]]:
    """An application with a gateway of its own, counting in a server of counters."""
    key = portal.add_key(portal.add_org("build"))
    with ExitStack() as stack:

        def start(name: str, valkey: Valkey) -> Application:
            gateway = Gateway(
                tmp_path / name,
                portal_url=portal.url,
                token=portal.token,
                transport=portal.transport(),
                counters=valkey.url,
            )
            stack.enter_context(gateway)
            eventually(lambda: gateway.replica.is_ready and gateway.counters == "shared")
            return Application(gateway, key.secret)

        yield start


def test_two_guarded_applications_share_one_limit(guarded, valkey: Valkey) -> None:
    one, two = guarded("one", valkey), guarded("two", valkey)

    assert one.admitted(60) == 60

    assert two.get().headers["RateLimit"].startswith('"build.m.requests.1d";r=39;')
    assert two.admitted(QUOTA) == 39
    assert (one.get().status_code, two.get().status_code) == (429, 429)


@pytest.mark.long
def test_guarded_applications_count_alone_while_the_server_is_away_and_the_portal_hears_it(
    guarded, portal: FakePortal, frail_valkey: Valkey
) -> None:
    one, two = guarded("one", frail_valkey), guarded("two", frail_valkey)
    assert [one.admitted(10), two.admitted(10), one.admitted(1)] == [10, 10, 1]

    def heard() -> set[str]:
        return {report["health"]["counters"] for report in portal.reports[-4:]}

    frail_valkey.kill()
    assert one.admitted(30) + two.admitted(5) == 35
    assert (one.gateway.counters, two.gateway.counters) == ("local", "local")
    assert "Connection" in (one.gateway.counters_problem or "")
    eventually(lambda: heard() == {"local"})

    frail_valkey.start()
    eventually(lambda: (one.gateway.counters, two.gateway.counters) == ("shared", "shared"))
    eventually(lambda: heard() == {"shared"})
    # Each tells with its next decision what it let through alone.
    assert one.admitted(1) + two.admitted(1) == 2
    assert one.admitted(QUOTA) + two.admitted(QUOTA) == QUOTA - 58
