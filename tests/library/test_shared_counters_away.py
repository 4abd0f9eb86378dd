"""A server of counters that goes away, hangs or forgets: each gateway counts alone, and tells (SYNC.md section 3.9)."""

import time

from tests.library.sharing import BRIEF, HOUR, MakeGates, together
from tests.support.product import eventually
from tests.support.valkey import Valkey


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
