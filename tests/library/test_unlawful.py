"""What a gateway never enforces, whoever signed it: the last good limits stay."""

from collections.abc import Callable
from pathlib import Path

import pytest

from plimsoll.decision import Code
from plimsoll.testing import FakePortal, ManualClock
from tests.library.published import DAY, MONTH, ROW, Gate, change
from tests.library.rig import Rig, rig_on, small_catalog


@pytest.fixture
def portal(clock: ManualClock) -> FakePortal:
    made = FakePortal(clock=clock)
    made.publish(small_catalog({"quota": 10}))
    # What changes within the second of the opening was in force for nobody.
    clock.advance(1)
    return made


@pytest.fixture
def gate(rig: Rig) -> Gate:
    return Gate(rig)


def told(gate: Gate, code: str) -> list[dict[str, str]]:
    return [
        nack for report in gate.portal.reports for nack in report["nacks"] if nack["code"] == code
    ]


def test_an_entry_of_a_newer_kind_stops_the_fold_and_keeps_the_limits(gate: Gate) -> None:
    gate.portal.announce(change(4), effective_in=MONTH)
    gate.portal.log("change.postponed", {"change": 2})
    gate.portal.sign()
    gate.level()

    assert gate.problem == "entry_not_understood"
    assert gate.rig.replica.logbook.size == 4, "it is kept, since it was signed"
    assert gate.quotas(0, MONTH) == [10, 4], "what stands before it goes on"
    gate.rig.wait(lambda: bool(told(gate, "entry_not_understood")), "the portal was told")
    (nack,) = told(gate, "entry_not_understood")
    assert (nack["kind"], nack["id"]) == ("entry", "3")


def test_what_stands_behind_an_entry_of_a_newer_form_is_not_folded(gate: Gate) -> None:
    body = {**gate.portal.entry(1)["body"], "change": 2, "colour": "red"}
    gate.portal.log("change.announced", body)
    gate.portal.log("change.announced", {**gate.portal.entry(1)["body"], "change": 3})
    gate.portal.sign()
    gate.level()

    assert gate.problem == "entry_not_understood"
    assert gate.quota() == 10
    assert list(gate.rig.replica.policy().changes) == [1]


def test_a_new_kind_that_says_nothing_of_limits_stops_nothing(gate: Gate) -> None:
    gate.portal.log("weather.recorded", {"sky": "grey"})
    gate.portal.sign()
    gate.portal.announce(change(40))

    assert gate.problem is None
    assert gate.quota() == 40


def test_an_entry_that_was_not_understood_is_judged_by_the_version_that_does(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    """As a newer version finds the store: what it understands may still break the rule."""
    key = portal.add_key(portal.add_org("build"))
    with rig_on(portal, clock, tmp_path / "state") as rig:
        rig.store.set_meta(log_judged=2)
        unlawful = portal.entry(1)["body"]
        portal.log("change.announced", unlawful)
        leaf = portal.data("entry", "2")
        with rig.store.transaction() as connection:
            connection.execute("INSERT INTO log VALUES (2, ?)", (leaf,))
    portal.is_down = True

    with rig_on(portal, clock, tmp_path / "state") as rig:
        assert rig.replica.log_problem is not None
        assert rig.replica.log_problem.code == "entry_refused"
        assert rig.replica.logbook.size == 3
        assert [each.quota for each in rig.enforcer.limits(key.secret).limits] == [10]


def sneak(gate: Gate, **fields: object) -> None:
    """Sign a change that keeps no rule: somebody has the key of the log."""
    body = {
        **gate.portal.entry(1)["body"],
        "change": 2,
        "id": "chg_" + "1" * 26,
        "models": [],
        "tiers": [],
        "offers": [],
        "counting": {"reserve": {}, "texts": {}},
        "effective_at": gate.portal.now,
        "rows": [
            {**ROW, "from": {"quota": 10, "burst": 10}, "to": {"quota": 1, "burst": 1}},
        ],
        **fields,
    }
    gate.portal.log("change.announced", body)
    gate.portal.sign()
    gate.level()


def test_a_cut_without_notice_is_refused_although_it_is_signed(gate: Gate) -> None:
    sneak(gate)

    assert gate.problem == "entry_refused"
    assert gate.quotas(0, MONTH) == [10, 10]
    gate.rig.wait(lambda: bool(told(gate, "entry_refused")), "the portal was told")
    assert gate.ask().code is Code.ALLOWED


def test_the_same_cut_with_its_notice_is_followed(gate: Gate) -> None:
    """So that what refuses above is the notice and nothing else."""
    sneak(gate, effective_at=gate.portal.now + MONTH)

    assert gate.problem is None
    assert gate.quotas(0, MONTH) == [10, 1]


def test_lawful_entries_of_one_step_with_an_unlawful_one_wait_with_it(gate: Gate) -> None:
    with gate.portal.batch():
        gate.portal.announce(change(40))
        sneaked = {**gate.portal.entry(2)["body"], "change": 3, "id": "chg_" + "3" * 26}
        rows = [{**ROW, "from": {"quota": 40, "burst": 40}, "to": {"quota": 1, "burst": 1}}]
        gate.portal.log("change.announced", {**sneaked, "rows": rows})
        gate.portal.sign()

    assert gate.problem == "entry_refused"
    assert gate.rig.replica.logbook.size == 2
    assert gate.quota() == 10


def test_a_refused_history_is_still_refused_after_a_restart_and_a_snapshot(
    portal: FakePortal, clock: ManualClock, tmp_path: Path
) -> None:
    with rig_on(portal, clock, tmp_path / "state") as rig:
        sneak(Gate(rig))
    portal.new_epoch()

    with rig_on(portal, clock, tmp_path / "state") as rig:
        gate = Gate(rig)
        assert gate.quota() == 10
        assert gate.problem == "entry_refused"


# On the way to the gateway; the portal's own records are whole.
Fault = Callable[[list[bytes]], list[bytes]]


def flip(lines: list[bytes]) -> list[bytes]:
    return [
        line.replace(b'"quota":40', b'"quota":41') if b'"kind":"entry"' in line else line
        for line in lines
    ]


def drop(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if b'"kind":"entry","id":"3"' not in line]


def swap(lines: list[bytes]) -> list[bytes]:
    text = b"".join(lines)
    for one, other in ((b'"id":"2"', b'"id":"?"'), (b'"id":"3"', b'"id":"2"')):
        text = text.replace(b'"kind":"entry",' + one, b'"kind":"entry",' + other)
    return text.replace(b'"id":"?"', b'"id":"3"').splitlines(keepends=True)


@pytest.mark.parametrize("fault", [flip, drop, swap])
def test_what_was_changed_on_the_way_is_never_enforced(gate: Gate, fault: Fault) -> None:
    gate.level()
    mangled = []

    def tamper(lines: list[bytes]) -> list[bytes]:
        mangled.append(fault(lines) != lines)
        return fault(lines)

    gate.portal.tamper = tamper
    with gate.portal.batch():
        gate.portal.announce(change(40))
        gate.portal.announce(change(45))
    gate.rig.wait(lambda: len(mangled) > 2, "the gateway asked again")
    assert any(mangled)
    assert gate.rig.replica.logbook.size == 2
    (limit,) = gate.rig.enforcer.limits(gate.key.secret).limits
    assert limit.quota == 10

    gate.portal.tamper = None
    # Past the wait of a gateway that has seen the whole state not add up.
    gate.clock.advance(60)
    gate.portal.drop()

    gate.rig.wait(lambda: gate.quota() == 45, "the whole log is followed")


def test_a_forked_future_is_not_followed(gate: Gate) -> None:
    gate.portal.announce(change(4), effective_in=MONTH)
    gate.level()
    entry = gate.portal.entry(2)
    entry["body"]["effective_at"] += DAY

    gate.portal.fork_log(2, entry)
    gate.portal.sign()

    assert gate.problem == "log_forked"
    assert gate.quotas(MONTH - 1, 1) == [10, 4]


def test_a_rewritten_history_is_not_followed_where_it_goes_on_either(gate: Gate) -> None:
    gate.portal.announce(change(40), effective_in=MONTH)
    gate.level()
    entry = gate.portal.entry(2)
    entry["body"]["rows"][0]["to"] = {"quota": 1000, "burst": 1000}

    with gate.portal.batch():
        gate.portal.fork_log(2, entry)
        gate.portal.announce(change(50))

    assert gate.problem == "log_forked"
    assert gate.quotas(0, MONTH) == [10, 40]


DECISION = {
    "change": None,
    "id": "dec_" + "1" * 26,
    "outcome": "adopted",
    "reason_sha256": "0" * 64,
    "thread": 1,
}


def test_a_decision_on_a_thread_is_followed_without_effect_on_limits(gate: Gate) -> None:
    gate.portal.log("decision.recorded", DECISION)
    gate.portal.sign()
    gate.portal.announce(change(40))

    assert gate.problem is None
    assert gate.rig.replica.logbook.size == 4
    assert gate.quota() == 40


def test_a_decision_in_another_form_is_refused_although_it_is_signed(gate: Gate) -> None:
    gate.portal.log("decision.recorded", {**DECISION, "outcome": "ignored"})
    gate.portal.sign()
    gate.level()

    assert gate.problem == "entry_refused"
    assert gate.quota() == 10
