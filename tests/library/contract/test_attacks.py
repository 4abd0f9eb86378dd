"""Ways to take something away in silence, or to stop the log for ever, that somebody might try."""

import pytest

from plimsoll.contract import rules
from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import effect_of, upcoming_tightenings
from plimsoll.contract.history import History
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.rules import RuleCode
from tests.library.contract.chronicle import (
    BUILD,
    DAY,
    HOUR,
    MODELS,
    START,
    START_CELL,
    Chronicle,
    offer,
)
from tests.library.contract.samples import opened, tier

TOKENS = Cell("build", "sonnet-5", "input_tokens", Kind.WINDOW, 60)
TOKENS_HALF = Cell("build", "sonnet-5", "input_tokens", Kind.WINDOW, 30)
EVERYTHING = {
    "models": [{"slug": each, "name": name} for each, name in MODELS.items()],
    "tiers": [tier("build", rank=2, entry="request"), tier("start")],
    "offers": [offer(("build", "sonnet-5")), offer(("start", "sonnet-5"))],
}
LAST_INSTANT = 2**53 - 1 - START


# ---- words ----


def test_other_words_for_an_old_change_bring_its_limits_not_back(log):
    log.announce(0, {BUILD: 6000})

    log.log(log.act("amended", 1, at=DAY))

    assert log.quotas(DAY - 1, DAY, 2 * DAY) == [6000, 6000, 6000]
    assert log.history.lasting(START + DAY).limits[BUILD].limit.quota == 6000


# ---- change 1, put off ----


@pytest.fixture
def late() -> Chronicle:
    """Change 1 lies far ahead, and change 2 has brought more than it holds."""
    log = Chronicle.__new__(Chronicle)
    log.entries, log.history = [], History()
    log.log(opened(at=START - DAY))
    small = {BUILD: 10, START_CELL: 10}
    log.log(log.announcement(-DAY, small, effective=400 * DAY, **EVERYTHING))
    log.announce(0, {BUILD: 5000, START_CELL: 1000}, **EVERYTHING)
    return log


def test_change_1_is_no_cut_in_waiting(late):
    entry = late.act("rescheduled", 1, at=DAY, effective_at=DAY + 1)

    refused = late.refused(entry)

    assert refused.code is RuleCode.NOTICE
    assert refused.earliest == START + 31 * DAY


def test_beside_change_1_nothing_else_is_cut(late):
    late.reschedule(1, at=DAY, effective_at=31 * DAY)

    entry = late.announcement(2 * DAY, {BUILD: 1}, effective=31 * DAY)

    assert late.refused(entry).earliest == START + 32 * DAY


def test_a_change_1_that_comes_later_is_told_as_the_cut_that_it_is(late):
    (ahead,) = upcoming_tightenings(late.history, START + DAY)

    assert effect_of(late.history, 1).direction is Direction.TIGHTENING
    assert ahead.change == 1


# ---- released among others ----


def test_what_was_no_cut_beside_another_limit_is_not_released_as_one_in_seven_days(log):
    log.announce(0, {TOKENS: 100, TOKENS_HALF: 20}, effective=30 * DAY)
    # Two half minutes of 20 are 40 a minute: 50 takes nothing away.
    number = log.announce(31 * DAY, {TOKENS: 50}, effective=31 * DAY + HOUR)
    log.hold(number, at=31 * DAY + 1)
    log.announce(31 * DAY + 2, {TOKENS_HALF: None})

    entry = log.act("released", number, at=32 * DAY, effective_at=40 * DAY)

    assert log.refused(entry).earliest == START + 62 * DAY


# ---- the end of all calendars ----


@pytest.mark.parametrize("at", [LAST_INSTANT, 7000 * 366 * DAY])
def test_an_instant_beyond_calendars_is_refused(log, at):
    cut = {"class": "emergency_cut"}
    log.announce(0, {BUILD: 6000}, effective=DAY)
    for entry in (
        log.announcement(0, {BUILD: 9000}, effective=at),
        log.announcement(0, {BUILD: 900}, effective=at - 5 * DAY, expires=at, **cut),
        log.act("rescheduled", 2, at=0, effective_at=at),
        log.policy_changed(0, effective=at, tightening_seconds=40 * DAY),
    ):
        assert log.refused(entry).code is RuleCode.FORM


def test_a_promise_of_notice_for_ever_is_refused(log):
    entry = log.policy_changed(0, effective=0, tightening_seconds=2**53 - 1)

    assert log.refused(entry).code is RuleCode.FORM


def test_the_longest_promise_can_be_told_and_weakened(log):
    longest = 10 * 365 * DAY
    log.log(log.policy_changed(0, effective=0, tightening_seconds=longest))

    cut = log.refused(log.announcement(1, {BUILD: 1}))
    weaker = log.refused(log.policy_changed(1, effective=1, tightening_seconds=DAY))

    assert cut.earliest == weaker.earliest == START + 1 + longest


def test_a_notice_policy_is_not_announced_so_late_that_none_can_come_before(log):
    entry = log.policy_changed(0, effective=200 * 365 * DAY, tightening_seconds=40 * DAY)

    assert log.refused(entry).code is RuleCode.EFFECTIVE_AT


def test_an_opening_with_a_notice_for_ever_is_refused():
    entry = opened(at=START)
    entry["body"]["notice"]["tightening_seconds"] = 2**53 - 1

    with pytest.raises(rules.RuleBroken, match="tightening_seconds"):
        rules.check([], entry, START)


# ---- emergencies without end, and limits that stand twice ----

CUT = {"class": "emergency_cut"}
TWO_MINUTES = [
    Cell("build", "sonnet-5", "requests", kind, 120) for kind in (Kind.WINDOW, Kind.BUCKET)
]


def test_another_period_makes_no_new_emergency(log):
    periods = [Cell("build", "sonnet-5", "requests", Kind.WINDOW, 61 + each) for each in range(3)]
    log.announce(0, {periods[0]: 1}, expires=3 * DAY, **CUT)
    log.announce(3 * DAY, {periods[1]: 1}, effective=3 * DAY, expires=6 * DAY, **CUT)

    third = log.announcement(6 * DAY, {periods[2]: 1}, expires=9 * DAY, **CUT)

    assert log.refused(third).code is RuleCode.EMERGENCY
    log.announce(6 * DAY, {BUILD: 1}, expires=9 * DAY, **CUT)


def test_two_emergency_cuts_bring_no_two_limits_of_one_name(log):
    log.announce(0, {TWO_MINUTES[0]: 10}, expires=DAY, **CUT)

    again = log.announcement(HOUR, {TWO_MINUTES[1]: 10}, expires=DAY, **CUT)

    assert log.refused(again).code is RuleCode.TABLE
    log.announce(DAY, {TWO_MINUTES[1]: 10}, expires=2 * DAY, **CUT)


def test_a_lasting_limit_that_comes_under_an_emergency_cut_keeps_its_name(log):
    log.announce(0, {TWO_MINUTES[0]: 10}, effective=31 * DAY, expires=32 * DAY, **CUT)
    log.announce(1, {TWO_MINUTES[1]: 1000}, effective=31 * DAY + HOUR)

    held = [
        [each.kind for each in log.policy(at).limits if each.period == 120]
        for at in (31 * DAY, 31 * DAY + HOUR)
    ]

    assert held == [[Kind.WINDOW], [Kind.BUCKET]]


def test_an_emergency_cut_limits_nothing_that_never_came(log):
    new = Cell("build", "haiku-5", "requests", Kind.BUCKET, 60)
    model = {"slug": "haiku-5", "name": "Haiku 5"}
    number = log.announce(0, {new: 10}, effective=5 * DAY, models=[model])
    log.announce(1, {new: 5}, effective=6 * DAY, expires=7 * DAY, **CUT)

    log.withdraw(number, at=2)

    assert log.quota(6 * DAY, new) is None
