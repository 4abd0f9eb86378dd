"""Grants that raise and caps that lower, at the gate (LIMITS.md section 1)."""

from tests.library.gate import OUTPUT, Gate, MakeGate


def grant(gate: Gate, **fields: object) -> dict[str, object]:
    now = gate.portal.now
    values = {"model": "m", "metric": "requests", "kind": "bucket", "period": 60, "quota": 3}
    made = {**values, "burst": 3, "id": "grt_1", "from": now, "until": now + 60, **fields}
    return {**made, "burst": made["quota"]}


def test_a_grant_raises_for_its_time_and_no_longer(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 1})
    gate.portal.change(gate.org, grants=[grant(gate, **{"from": gate.portal.now + 10})])
    gate.rig.level()

    def quota() -> int:
        return gate.readings()[0].quota

    seen = [quota()]
    for milliseconds in (9_999, 1, 49_999, 1):
        gate.clock.advance_ms(milliseconds)
        seen.append(quota())

    assert seen == [1, 1, 3, 3, 1]


def test_a_grant_never_lowers_and_opens_no_limit(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 5})
    grants = [grant(gate), grant(gate, id="grt_2", metric="input_tokens")]
    gate.portal.change(gate.org, grants=grants)
    gate.rig.level()

    assert [(each.name, each.quota) for each in gate.readings()] == [("build.m.requests.1m", 5)]


def test_requests_in_flight_are_settled_by_the_quota_of_today(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 60, "burst": 1000})
    values = {"metric": "output_tokens", "quota": 60_000, "until": None}
    granted = {**grant(gate, **values), "burst": 1000}
    gate.portal.change(gate.org, grants=[granted])
    gate.rig.level()
    lowered, _ = gate.ask(max_tokens=1000)
    gate.portal.change(gate.org, grants=[])
    gate.rig.level()
    gate.clock.advance(10)
    assert gate.used() == {"build.m.output_tokens.1m": 990}

    gate.settle(lowered, output_tokens=999)

    assert gate.used() == {"build.m.output_tokens.1m": 990}


def test_what_has_leaked_by_a_raised_quota_is_not_given_back(make_gate: MakeGate) -> None:
    gate = make_gate({**OUTPUT, "quota": 60, "burst": 1000})
    first, _ = gate.ask(max_tokens=1000)
    values = {"metric": "output_tokens", "quota": 60_000, "until": None}
    gate.portal.change(gate.org, grants=[{**grant(gate, **values), "burst": 1000}])
    gate.rig.level()
    gate.clock.advance(1)
    assert gate.ask(max_tokens=1000)[0]

    gate.settle(first, output_tokens=0)

    assert gate.used() == {"build.m.output_tokens.1m": 1000}


def cap(**fields: object) -> dict[str, object]:
    values = {"model": "m", "metric": "requests", "kind": "bucket", "period": 60, "quota": 2}
    made = {**values, **fields}
    return {**made, "burst": made["quota"]}


def test_a_cap_lowers_for_its_key_and_leaves_the_organisation_the_rest(
    make_gate: MakeGate,
) -> None:
    gate = make_gate({"quota": 5}, caps=[cap()])
    other = gate.portal.add_key(gate.org)
    gate.rig.level()
    for _ in range(2):
        assert gate.ask()[0]

    decision = gate.rig.enforcer.check(gate.key.secret, model="m")

    assert decision.problem()["limit"] == "cap.m.requests.1m"
    for _ in range(3):
        assert gate.rig.enforcer.check(other.secret, model="m")
    assert not gate.rig.enforcer.check(other.secret, model="m")


def test_a_cap_above_the_tier_does_not_raise(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 5}, caps=[cap(quota=9)])

    assert [each.quota for each in gate.readings()] == [5, 5]


def test_a_rotated_key_goes_on_under_its_lineages_cap(make_gate: MakeGate) -> None:
    gate = make_gate({"quota": 50}, caps=[cap()])
    for _ in range(2):
        gate.ask()

    successor = gate.portal.add_key(gate.org, lineage=gate.key.id, caps=[cap()])
    gate.rig.level()

    assert not gate.rig.enforcer.check(successor.secret, model="m")
