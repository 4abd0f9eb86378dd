"""Decisions on threads in the log: in their one form, and without effect on any limit."""

import pytest

from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.decided import DecisionRecorded
from plimsoll.contract.fold import fold
from plimsoll.contract.rules import NotUnderstood, RuleCode
from tests.library.contract.chronicle import BUILD, DAY, REASON, START

DECISION = {
    "change": None,
    "id": f"dec_{1:026d}",
    "outcome": "partly",
    "reason_sha256": REASON,
    "thread": 12,
}


def decision(log, at=0, **fields):
    return log.entry("decision.recorded", {**DECISION, **fields}, at)


def test_a_decision_is_read_as_it_is_written():
    for outcome in ("adopted", "partly", "not_adopted", "deferred"):
        body = {**DECISION, "outcome": outcome, "change": 2}

        assert DecisionRecorded.parse(body).to_wire() == body


def test_a_decision_changes_no_limit_now_or_later(log):
    log.announce(0, {BUILD: 6000}, effective=DAY)
    before = [fold(log.entries, START + at) for at in (0, DAY)]

    log.log(decision(log, change=2))

    assert [fold(log.entries, START + at) for at in (0, DAY)] == before
    assert log.history.problem is None
    log.announce(0, {BUILD: 7000}, effective=2 * DAY)
    assert log.quotas(0, DAY, 2 * DAY) == [5000, 6000, 7000]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"outcome": "ignored"}, RuleCode.FORM),
        ({"outcome": None}, RuleCode.FORM),
        ({"thread": 0}, RuleCode.FORM),
        ({"thread": "12"}, RuleCode.FORM),
        ({"change": 0}, RuleCode.FORM),
        ({"id": f"chg_{1:026d}"}, RuleCode.FORM),
        ({"id": "dec_1"}, RuleCode.FORM),
        ({"reason_sha256": "0" * 63}, RuleCode.FORM),
        ({"reason_sha256": hash_reason("")}, RuleCode.REASON),
        ({"change": 2}, RuleCode.CHANGE_NUMBER),
    ],
)
def test_a_decision_in_another_form_is_refused(log, fields, code):
    refused = log.refused(decision(log, **fields))

    assert (refused.code, isinstance(refused, NotUnderstood)) == (code, False)


@pytest.mark.parametrize("name", sorted(DECISION))
def test_no_field_of_a_decision_may_be_missing(log, name):
    body = {field: value for field, value in DECISION.items() if field != name}

    assert log.refused(log.entry("decision.recorded", body, 0)).code is RuleCode.FORM


def test_a_decision_is_recorded_once(log):
    log.log(decision(log))

    assert log.refused(decision(log, outcome="adopted")).code is RuleCode.STATE


def test_a_field_of_a_newer_version_stops_no_fold(log):
    strange = decision(log, mood="good")
    assert isinstance(log.refused(strange), NotUnderstood)

    policy = fold([*log.entries, strange], START)

    assert (policy.problem, policy.limits[BUILD].limit.quota) == (None, 5000)
