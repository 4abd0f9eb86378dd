"""The notice policy is in the log itself, and falls under its own notice."""

import pytest

from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import effect_of
from plimsoll.contract.rules import DEFAULT_NOTICE, RuleCode
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_OPUS,
    DAY,
    START,
)

EMPTY = hash_reason("")


WEAKER = {
    "tightening_seconds": -1,
    "retirement_seconds": -1,
    "released_seconds": -1,
    "delivery_percent": -1,
    "delivery_seconds": 1,
    "emergency_seconds": 1,
    "emergency_extensions": 1,
    "emergency_pause_seconds": -1,
}


def test_each_field_of_the_notice_policy_has_a_weaker_side():
    assert WEAKER.keys() == DEFAULT_NOTICE.keys()


@pytest.mark.parametrize("name", WEAKER)
def test_a_weaker_notice_policy_falls_under_its_own_notice(log, name):
    weaker = {name: DEFAULT_NOTICE[name] + WEAKER[name]}
    days = 90 if name == "retirement_seconds" else 30

    refused = log.refused(log.policy_changed(0, effective=days * DAY - 1, **weaker))

    assert (refused.code, refused.earliest) == (RuleCode.NOTICE, START + days * DAY)
    log.log(log.policy_changed(0, effective=days * DAY, **weaker))
    assert log.history.notice_at(START + days * DAY - 1) == DEFAULT_NOTICE
    assert log.policy(days * DAY).notice == {**DEFAULT_NOTICE, **weaker}


@pytest.mark.parametrize("name", WEAKER)
def test_a_stricter_notice_policy_holds_at_once(log, name):
    log.log(log.policy_changed(0, effective=0, **{name: DEFAULT_NOTICE[name] - WEAKER[name]}))

    assert log.policy(0).notice[name] == DEFAULT_NOTICE[name] - WEAKER[name]


def test_what_is_weaker_in_one_point_is_weaker(log):
    mixed = {"tightening_seconds": 60 * DAY, "released_seconds": DAY}

    assert log.refused(log.policy_changed(0, effective=DAY, **mixed)).code is RuleCode.NOTICE


def test_the_policy_in_force_when_an_act_is_logged_applies(log):
    log.log(log.policy_changed(0, effective=40 * DAY, tightening_seconds=10 * DAY))

    before = log.announcement(40 * DAY - 1, {BUILD: 4000}, effective=50 * DAY)

    assert log.refused(before).earliest == START + 70 * DAY - 1
    log.announce(40 * DAY, {BUILD: 4000}, effective=50 * DAY)


def test_a_weakened_policy_weakens_itself_only_with_what_it_promises(log):
    log.log(log.policy_changed(0, effective=30 * DAY, tightening_seconds=10 * DAY))
    weaker = {"tightening_seconds": DAY}

    assert log.refused(log.policy_changed(30 * DAY - 1, effective=59 * DAY, **weaker))
    assert log.refused(log.policy_changed(30 * DAY, effective=40 * DAY - 1, **weaker))
    log.log(log.policy_changed(30 * DAY, effective=40 * DAY, **weaker))


def test_a_promised_stricter_policy_is_not_taken_back_at_once(log):
    log.log(log.policy_changed(0, effective=5 * DAY, tightening_seconds=60 * DAY))

    for at, effective in ((0, 4 * DAY), (0, 5 * DAY), (0, 6 * DAY), (6 * DAY, 36 * DAY)):
        back = log.policy_changed(at, effective=effective, tightening_seconds=45 * DAY)
        assert log.refused(back), effective
    log.log(log.policy_changed(6 * DAY, effective=66 * DAY, tightening_seconds=45 * DAY))


def test_a_notice_policy_does_not_overtake_one_that_is_announced(log):
    log.log(log.policy_changed(0, effective=40 * DAY, tightening_seconds=10 * DAY))

    refused = log.refused(log.policy_changed(DAY, effective=DAY, tightening_seconds=60 * DAY))

    assert (refused.code, refused.earliest) == (RuleCode.EFFECTIVE_AT, START + 40 * DAY)
    log.log(log.policy_changed(DAY, effective=40 * DAY, tightening_seconds=60 * DAY))
    assert log.policy(40 * DAY).notice["tightening_seconds"] == 60 * DAY


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tightening_seconds": -1},
        {"delivery_percent": 101},
        {"tightening_seconds": True},
        {"grace_seconds": 5},
    ],
)
def test_a_notice_policy_in_another_form_or_unchanged_is_refused(log, fields):
    assert log.refused(log.policy_changed(0, effective=95 * DAY, **fields))


def test_a_policy_has_a_reason_and_no_past(log):
    late = log.policy_changed(DAY, effective=DAY - 1, tightening_seconds=40 * DAY)
    silent = log.policy_changed(DAY, effective=DAY, tightening_seconds=40 * DAY)
    silent["body"]["reason_sha256"] = EMPTY

    assert log.refused(late).code is RuleCode.EFFECTIVE_AT
    assert log.refused(silent).code is RuleCode.REASON


def test_a_policy_does_not_touch_what_is_announced(log):
    log.announce(0, {BUILD: 4000}, effective=31 * DAY)
    log.log(log.policy_changed(DAY, effective=DAY, tightening_seconds=60 * DAY))

    log.announce(DAY, {BUILD_OPUS: 4000}, effective=31 * DAY)

    assert log.quotas(31 * DAY) == [4000]
    assert effect_of(log.history, 2).direction is Direction.TIGHTENING
    assert [each.effective_at - START for each in log.history.policies] == [-DAY, DAY]
