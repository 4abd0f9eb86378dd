"""What a request reserves, what settling gives back, and what is charged (LIMITS.md section 1)."""

from tests.library.gate import OUTPUT, MakeGate


def test_output_is_reserved_by_max_tokens_else_by_the_published_reserve(
    make_gate: MakeGate,
) -> None:
    gate = make_gate({**OUTPUT, "quota": 1000})

    gate.ask(max_tokens=7)
    gate.ask()

    assert gate.used() == {"build.m.output_tokens.1m": 57}


def test_settling_gives_back_what_was_not_used(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 10}, {**OUTPUT, "quota": 1000})
    decision, _ = gate.ask(max_tokens=500)

    assert gate.settle(decision, output_tokens=30)

    assert gate.used() == {"build.m.requests.1m": 1, "build.m.output_tokens.1m": 30}


def test_settling_twice_changes_nothing(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 1000})
    decision, _ = gate.ask(max_tokens=500)
    gate.settle(decision, output_tokens=30)

    assert not gate.settle(decision, output_tokens=0)
    assert not gate.settle("dec_unheard_of", output_tokens=0)

    assert gate.used() == {"build.m.output_tokens.1m": 30}


def test_more_than_reserved_is_charged_in_full(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 1000})
    decision, _ = gate.ask(max_tokens=10)

    gate.settle(decision, output_tokens=400)

    assert gate.used() == {"build.m.output_tokens.1m": 400}


def test_a_failure_of_the_provider_gives_everything_back(make_gate: MakeGate) -> None:
    rows = ({"quota": 10}, {"metric": "input_tokens", "quota": 100}, {**OUTPUT, "quota": 1000})
    gate = make_gate(*rows)
    decision, _ = gate.ask(input_tokens=40, max_tokens=500)

    gate.settle(decision, failed=True)

    assert set(gate.used().values()) == {0}


def test_what_is_not_said_stays_as_admitted(make_gate: MakeGate) -> None:
    rows = ({"metric": "input_tokens", "quota": 100}, {**OUTPUT, "quota": 1000})
    gate = make_gate(*rows, {"metric": "total_tokens", "quota": 1000})
    decision, _ = gate.ask(input_tokens=40, max_tokens=500)

    gate.settle(decision)

    assert sorted(gate.used().values()) == [40, 500, 540]


def test_total_tokens_are_input_and_output(make_gate: MakeGate) -> None:
    gate = make_gate({"metric": "total_tokens", "quota": 1000})
    decision, _ = gate.ask(input_tokens=40, max_tokens=500)
    assert gate.used() == {"build.m.total_tokens.1m": 540}

    gate.settle(decision, input_tokens=41, output_tokens=9)

    assert gate.used() == {"build.m.total_tokens.1m": 50}


def test_a_reservation_unsettled_for_15_minutes_stands_as_used(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "kind": "window", "period": "month", "quota": 1000})
    decision, _ = gate.ask(max_tokens=500)
    gate.clock.advance(15 * 60)
    gate.ask(max_tokens=0)

    assert not gate.settle(decision, output_tokens=0)
    assert gate.used() == {"build.m.output_tokens.month": 500}


def test_spend_is_counted_when_it_is_known_and_then_bites(make_gate: MakeGate) -> None:
    gate = make_gate({"metric": "spend_microusd", "model": "*", "kind": "window", "quota": 100})
    first, _ = gate.ask()
    second, _ = gate.ask()
    assert gate.used() == {"build.all.spend_microusd.1m": 0}

    gate.settle(first, spend_microusd=60, output_tokens=0)
    gate.settle(second, spend_microusd=60, output_tokens=0)

    assert gate.used() == {"build.all.spend_microusd.1m": 120}
    assert gate.ask()[0] == ""


def test_requests_at_once_are_released_when_settled(make_gate: MakeGate) -> None:
    gate = make_gate(
        {"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 2}
    )
    first, _ = gate.ask()
    gate.ask()
    assert gate.ask() == ("", None)

    gate.settle(first, output_tokens=0)

    assert gate.ask()[0]


def test_a_request_whose_end_nobody_told_is_not_in_flight_for_ever(make_gate: MakeGate) -> None:
    gate = make_gate(
        {"metric": "concurrent_requests", "kind": "concurrency", "period": None, "quota": 1}
    )
    gate.ask()

    gate.clock.advance(15 * 60)

    assert gate.ask()[0]
