"""Gateways that count together in one Valkey (SYNC.md section 3.9)."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from plimsoll.counters_redis import SharedCounters
from plimsoll.gateway import Gateway
from plimsoll.service import create_app, health, metrics
from plimsoll.serving import Server
from plimsoll.testing import FakePortal
from tests.library.sharing import HOUR, MakeGates, together
from tests.support.product import eventually
from tests.support.valkey import Valkey


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
