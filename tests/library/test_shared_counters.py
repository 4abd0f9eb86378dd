"""Gateways that count together in one Valkey, and alone while it is away (SYNC.md section 3.9)."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx2
import pytest

from plimsoll.counters_redis import SharedCounters
from plimsoll.decision import Decision
from plimsoll.gateway import Gateway
from plimsoll.service import create_app, health, metrics
from plimsoll.serving import Server
from plimsoll.spool import Counts
from plimsoll.testing import FakeKey, FakePortal, SystemClock
from tests.library.rig import Rig, rig_on, small_catalog
from tests.support.product import eventually
from tests.support.valkey import Valkey

HOUR = {"kind": "window", "period": 3600}
# Long enough that a busy machine is not taken for a server that is away.
PATIENCE = 5.0
BRIEF = 0.2


class Gate:
    """One of several gateways over one server, with the key that all of them meet."""

    def __init__(self, rig: Rig, shared: SharedCounters, key: FakeKey) -> None:
        self.rig, self.shared, self.key = rig, shared, key

    def ask(self, **asked: int) -> Decision:
        return self.rig.enforcer.check(self.key.secret, model="m", **asked)

    def admitted(self, requests: int) -> int:
        """How many of so many requests pass."""
        return sum(map(bool, (self.ask() for _ in range(requests))))

    def settle(self, decision: Decision, **took: int) -> bool:
        return self.rig.enforcer.settle(decision.id, **took)

    def used(self) -> dict[str, int]:
        limits = self.rig.enforcer.limits(self.key.secret).limits
        return {each.name.split(".")[2]: each.used for each in limits}

    def counted(self) -> Iterable[Counts]:
        """What waits to be reported as used."""
        return self.rig.enforcer._ledger.counters.tally.take().values()

    def wait_until_shared(self) -> None:
        eventually(lambda: self.shared.is_up, seconds=20)


class Gates:
    """Opens gateways that follow one portal."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *rows: dict[str, object]) -> None:
        self._folder, self._stack = folder, stack
        self.portal = FakePortal(clock=SystemClock())
        self.portal.publish(small_catalog(*rows))
        self.org = self.portal.add_org("build")
        self.key = self.portal.add_key(self.org)

    def open(self, name: str, valkey: Valkey, *, timeout: float = PATIENCE) -> Gate:
        # Tried again at once, since each test waits for it.
        shared = SharedCounters(
            valkey.url, timeout_seconds=timeout, jitter=lambda _, high: min(high, 0.05)
        )
        shared.start()
        self._stack.callback(shared.close)
        rig = self._stack.enter_context(
            rig_on(self.portal, SystemClock(), self._folder / name, shared=shared)
        )
        return Gate(rig, shared, self.key)


MakeGates = Callable[..., Gates]


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[MakeGates]:
    with contextlib.ExitStack() as stack:
        yield lambda *rows: Gates(tmp_path, stack, *rows)


def together(*acts: Callable[[], int]) -> int:
    """The sum of what acts in threads of their own give."""
    sums: list[int] = []
    threads = [threading.Thread(target=lambda act=act: sums.append(act())) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sums)


def test_two_gateways_together_admit_what_one_would(gates: MakeGates, valkey: Valkey) -> None:
    made = gates({**HOUR, "quota": 150})
    one, two = made.open("one", valkey), made.open("two", valkey)

    admitted = together(
        *(lambda gate=gate: gate.admitted(60) for gate in (one, two, one, two))  # type: ignore[misc]
    )

    assert admitted == 150
    assert one.used() == two.used() == {"requests": 150}


def test_a_bucket_admits_no_more_than_its_burst_and_refill(
    gates: MakeGates, valkey: Valkey
) -> None:
    made = gates({"quota": 6000, "burst": 50})
    one, two = made.open("one", valkey), made.open("two", valkey)
    began = time.monotonic()

    admitted = together(lambda: one.admitted(300), lambda: two.admitted(300))

    assert 50 <= admitted <= 50 + (time.monotonic() - began) * 100 + 1


def test_requests_in_flight_are_counted_over_all_gateways(gates: MakeGates, valkey: Valkey) -> None:
    made = gates(
        {"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 2}
    )
    one, two = made.open("one", valkey), made.open("two", valkey)
    first, _ = one.ask(), two.ask()
    assert not one.ask()

    one.settle(first)

    assert two.ask()
    assert not one.ask()


def test_what_others_settled_is_not_in_flight_when_the_server_goes_away(
    gates: MakeGates, frail_valkey: Valkey
) -> None:
    flight = {"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 2}
    made = gates(flight)
    one, two = made.open("one", frail_valkey), made.open("two", frail_valkey)
    for _ in range(5):
        assert two.settle(one.ask())
    still, over = one.ask(), one.ask()
    assert one.settle(over)

    frail_valkey.kill()

    assert [bool(one.ask()), bool(one.ask())] == [True, False]
    assert one.settle(still)
    assert one.ask()


def test_any_gateway_settles_what_another_admitted_and_only_once(
    gates: MakeGates, valkey: Valkey
) -> None:
    made = gates({"metric": "output_tokens", **HOUR, "quota": 1000}, {**HOUR, "quota": 10})
    one, two = made.open("one", valkey), made.open("two", valkey)
    decision = one.ask(max_tokens=800)

    said = [
        two.settle(decision, output_tokens=30),
        two.settle(decision, output_tokens=1),
        one.settle(decision, output_tokens=30),
    ]

    assert said == [True, False, False]
    assert one.used() == {"output_tokens": 30, "requests": 1}
    assert not two.settle(decision._replace(id="dec_" + "0" * 24 + "_1." + made.org))
    # The sum of what is reported is net of the settlement, whoever told of it.
    rows = [row for gate in (one, two) for row in gate.counted()]
    assert (sum(row.requests for row in rows), sum(row.output_tokens for row in rows)) == (1, 30)


def test_whoever_settles_does_so_by_the_quota_of_today(gates: MakeGates, valkey: Valkey) -> None:
    made = gates({"metric": "output_tokens", "quota": 60, "burst": 1000})
    values = {"model": "m", "metric": "output_tokens", "kind": "bucket", "period": 60}
    grant = {**values, "quota": 600_000, "burst": 1000, "id": "grt_1", "from": 1, "until": None}
    made.portal.change(made.org, grants=[grant])
    one, two = made.open("one", valkey), made.open("two", valkey)
    first, second = one.ask(max_tokens=500), two.ask(max_tokens=500)
    made.portal.change(made.org, grants=[])
    for gate in (one, two):
        gate.rig.level()
        gate.used()
    used = one.used()["output_tokens"]
    assert used > 0

    # By the quota before all would have leaked meanwhile.
    time.sleep(0.1)
    assert two.settle(first, output_tokens=499)
    assert two.settle(second, output_tokens=499)

    assert used - 10 <= one.used()["output_tokens"] <= used


def test_keys_and_expiry_are_as_published(gates: MakeGates, valkey: Valkey) -> None:
    cap = {"model": "m", "metric": "requests", "kind": "bucket", "period": 60, "quota": 5}
    made = gates({"model": "*", **HOUR, "quota": 9}, {"quota": 9, "burst": 27_000})
    made.key = made.portal.add_key(made.org, caps=[{**cap, "burst": 5}])
    gate = made.open("one", valkey)

    decision = gate.ask()

    found = {
        name.decode(): -(-valkey.client.pttl(name) // 60_000) for name in valkey.client.scan_iter()
    }
    assert found == {
        f"plim:{{{made.org}}}:*:requests:window:3600": 120,
        f"plim:{{{made.org}}}:m:requests:bucket:60": 61,
        f"plim:{{{made.org}}}:cap:{made.key.id}:m:requests:bucket:60": 61,
        f"plim:{{{made.org}}}:decision:{decision.id}": 15,
    }


def test_a_counter_is_kept_until_it_is_empty(gates: MakeGates, valkey: Valkey) -> None:
    made = gates({"metric": "output_tokens", "quota": 60, "burst": 60_000})
    gate = made.open("one", valkey)

    gate.ask(max_tokens=60_000)

    # A thousand minutes to leak, and the hour.
    (left,) = (valkey.client.pttl(name) for name in valkey.client.keys("*bucket*"))
    assert 1059 <= left // 60_000 <= 1060


def test_a_server_that_forgets_everything_forgives_nothing(
    gates: MakeGates, valkey: Valkey
) -> None:
    made = gates({**HOUR, "quota": 10}, {"metric": "output_tokens", "quota": 100, "period": 86_400})
    one, two = made.open("one", valkey), made.open("two", valkey)
    one.ask(max_tokens=60)
    two.ask(max_tokens=10)
    assert one.used() == two.used()

    valkey.client.flushall()
    valkey.client.script_flush()

    assert one.used() == {"requests": 2, "output_tokens": 70}
    assert not one.ask(max_tokens=40)
    assert one.ask(max_tokens=20)
    assert two.used() == {"requests": 3, "output_tokens": 90}
    assert one.shared.is_up


def test_while_it_is_away_each_counts_alone_and_tells_when_it_is_back(
    gates: MakeGates, frail_valkey: Valkey
) -> None:
    made = gates({**HOUR, "quota": 100})
    one, two = made.open("one", frail_valkey), made.open("two", frail_valkey)
    assert one.admitted(10) + two.admitted(10) == 20
    two.used(), one.used()

    frail_valkey.kill()
    assert one.admitted(30) + two.admitted(5) == 35
    assert not one.shared.is_up
    assert "Connection" in (one.shared.problem or "")
    assert one.used() == {"requests": 50}

    frail_valkey.start()
    one.wait_until_shared()
    two.wait_until_shared()

    assert one.used()["requests"] >= 50
    assert two.used() == one.used() == {"requests": 55}
    assert one.admitted(100) == 45
    assert two.admitted(10) == 0


def test_what_was_taken_alone_is_told_after_a_start_in_between_and_only_once(
    gates: MakeGates, frail_valkey: Valkey
) -> None:
    made = gates({**HOUR, "quota": 100}, {"metric": "output_tokens", "quota": 60, "burst": 9000})
    frail_valkey.kill()
    one, two = made.open("one", frail_valkey), made.open("two", frail_valkey)
    assert [one.ask(max_tokens=100) and one.admitted(49), two.admitted(3)] == [49, 3]
    one.rig.stop()
    frail_valkey.start()
    two.wait_until_shared()
    assert two.used()["requests"] == 3

    again = made.open("one", frail_valkey)

    assert again.used()["requests"] == two.used()["requests"] == 53
    assert two.used()["output_tokens"] in range(100 + 52 * 50 - 30, 100 + 52 * 50 + 1)
    again.rig.stop()
    assert made.open("one", frail_valkey).used()["requests"] == 53


def test_a_settlement_that_it_missed_is_done_when_it_is_back(
    gates: MakeGates, frail_valkey: Valkey
) -> None:
    flight = {"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 1}
    made = gates(flight, {"metric": "output_tokens", **HOUR, "quota": 1000})
    one = made.open("one", frail_valkey, timeout=BRIEF)
    decision = one.ask(max_tokens=900)

    frail_valkey.hang()
    one.used()
    assert not one.shared.is_up
    assert one.settle(decision, output_tokens=100)
    meanwhile = one.ask(max_tokens=50)
    frail_valkey.go_on()
    one.wait_until_shared()
    assert one.settle(meanwhile, output_tokens=20)

    eventually(lambda: one.used() == {"concurrent_requests": 0, "output_tokens": 120})
    assert one.ask(max_tokens=850)


def test_a_server_that_hangs_stalls_no_request(gates: MakeGates, frail_valkey: Valkey) -> None:
    made = gates({**HOUR, "quota": 100_000})
    one = made.open("one", frail_valkey, timeout=BRIEF)
    one.admitted(5)

    frail_valkey.hang()
    longest = []
    for _ in range(4):
        began = time.monotonic()
        together(*[lambda: one.admitted(1)] * 8)
        longest.append(time.monotonic() - began)

    # The first wait for an answer, the others know: also when it is tried again meanwhile.
    assert longest[0] < 3 * BRIEF + 1
    assert max(longest[1:]) < BRIEF + 0.5
    assert not one.shared.is_up
    frail_valkey.go_on()
    one.wait_until_shared()
    eventually(lambda: one.used() == {"requests": 37})


def test_a_server_that_refuses_to_write_counts_as_away(gates: MakeGates, valkey: Valkey) -> None:
    made = gates({**HOUR, "quota": 10})
    one = made.open("one", valkey)
    one.ask()
    valkey.client.config_set("maxmemory", 1)
    try:
        assert one.admitted(20) == 9
        assert "OutOfMemory" in (one.shared.problem or "")
    finally:
        valkey.client.config_set("maxmemory", 0)

    eventually(lambda: one.used() == {"requests": 10} and one.shared.is_up, seconds=20)


def test_a_server_that_is_not_there_at_the_start_is_found_later(
    gates: MakeGates, frail_valkey: Valkey
) -> None:
    frail_valkey.kill()
    made = gates({**HOUR, "quota": 10})
    one = made.open("one", frail_valkey)
    assert one.admitted(4) == 4

    frail_valkey.start()
    one.wait_until_shared()

    assert one.admitted(10) == 6


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="Redis URL"):
        SharedCounters("http://localhost")


@contextlib.contextmanager
def check_service(
    portal: FakePortal, folder: Path, valkey: Valkey
) -> Iterator[tuple[Gateway, str]]:
    """A whole gateway with its check service."""
    gateway = Gateway(
        folder,
        portal_url=portal.url,
        token=portal.token,
        transport=portal.transport(),
        counters=valkey.url,
    )
    with gateway:
        server = Server(create_app(gateway), host="127.0.0.1", port=0)
        try:
            eventually(lambda: gateway.replica.is_ready)
            yield gateway, server.url
        finally:
            server.close()


def test_the_check_service_reads_and_settles_shared_counters_and_says_where_it_counts(
    gates: MakeGates, frail_valkey: Valkey, tmp_path: Path
) -> None:
    made = gates({"metric": "output_tokens", **HOUR, "quota": 1000})
    made.portal.heartbeat = 0.2
    headers = {"x-api-key": made.key.secret, "X-Model": "m", "X-Max-Tokens": "700"}

    def used(url: str) -> int:
        answer = httpx2.get(f"{url}/limits", headers=headers, trust_env=False)
        return int(answer.json()["limits"][0]["used"])

    with (
        check_service(made.portal, tmp_path / "one", frail_valkey) as (one, one_url),
        check_service(made.portal, tmp_path / "two", frail_valkey) as (_, two_url),
    ):
        admitted = httpx2.get(f"{one_url}/check", headers=headers, trust_env=False)
        refused = httpx2.get(f"{two_url}/check", headers=headers, trust_env=False)
        assert (admitted.status_code, refused.status_code) == (200, 429)
        assert (used(one_url), used(two_url)) == (700, 700)

        body = {"decision": admitted.headers["X-Plimsoll-Decision"], "output_tokens": 5}
        assert httpx2.post(f"{two_url}/settle", json=body, trust_env=False).status_code == 204
        assert (used(one_url), used(two_url)) == (5, 5)
        assert (health(one)["counters"], health(one)["counters_problem"]) == ("shared", None)
        eventually(lambda: made.portal.reports[-1]["health"]["counters"] == "shared")

        frail_valkey.kill()
        assert used(one_url) == 5
        assert health(one)["counters"] == "local"
        assert "Connection" in health(one)["counters_problem"]
        assert "plimsoll_counters_shared 0" in metrics(one)
        eventually(lambda: made.portal.reports[-1]["health"]["counters"] == "local", seconds=20)
