"""Raises and cuts for a time: what they may do, and how the three layers lie on one another."""

import pytest

from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import effect_of
from plimsoll.contract.history import State
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.rules import RuleCode
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_HOUR,
    BUILD_OPUS,
    DAY,
    HOUR,
    SPEND,
    START,
    START_CELL,
    Chronicle,
)
from tests.library.contract.samples import tier

RAISE = {"class": "temporary_raise"}
CUT = {"class": "emergency_cut"}


def cut(log, quota, *, start, end, cell=BUILD):
    return log.announcement(start, {cell: quota}, expires=end, **CUT)


# ---- temporary raises ----


def test_temporary_raises_go_by_maximum_of_quota_and_burst_separately(log):
    log.announce(0, {BUILD: (9000, 6000)}, effective=DAY, expires=3 * DAY, **RAISE)
    log.announce(0, {BUILD: (7000, 8000)}, effective=2 * DAY, expires=4 * DAY, **RAISE)

    def held(at):
        return log.policy(at).limits[BUILD].limit.values()

    assert held(DAY) == {"quota": 9000, "burst": 6000}
    assert held(2 * DAY) == {"quota": 9000, "burst": 8000}
    assert held(3 * DAY) == {"quota": 7000, "burst": 8000}
    assert held(4 * DAY) == {"quota": 5000, "burst": 5000}


def test_a_temporary_raise_is_without_effect_under_a_more_generous_lasting_limit(log):
    log.announce(0, {BUILD: 6000}, effective=DAY, expires=30 * DAY, **RAISE)
    log.announce(0, {BUILD: 9000}, effective=2 * DAY)

    assert log.quotas(DAY, 2 * DAY, 29 * DAY) == [6000, 9000, 9000]
    assert log.policy(3 * DAY).limits[BUILD][1:] == (START + 2 * DAY, 3)


def test_a_temporary_raise_of_a_limit_that_is_lifted_meanwhile_brings_it_not_back(log):
    log.announce(0, {BUILD: 9000}, expires=9 * DAY, **RAISE)
    log.announce(0, {BUILD: None}, effective=2 * DAY)

    assert log.quotas(DAY, 2 * DAY, 9 * DAY) == [9000, None, None]


def test_a_temporary_raise_may_lift_a_limit_altogether(log):
    log.announce(0, {BUILD: None}, expires=DAY, **RAISE)

    assert log.quotas(0, DAY) == [None, 5000]


def test_a_temporary_raise_does_not_limit_what_has_no_limit(log):
    rows = {BUILD_HOUR: 10**6}

    assert log.refused(log.announcement(0, rows, expires=DAY, **RAISE)).code is RuleCode.RAISE


@pytest.mark.parametrize("given", [4999, (5000, 4999), (9000, 4999), (4999, 9000)])
def test_a_temporary_raise_lowers_nothing(log, given):
    lowering = log.announcement(0, {BUILD: given, BUILD_OPUS: 9000}, expires=DAY, **RAISE)

    assert log.refused(lowering).code is RuleCode.RAISE


def test_a_temporary_raise_has_an_end(log):
    without = log.announcement(0, {BUILD: 6000}, **RAISE)
    at_once = log.announcement(0, {BUILD: 6000}, effective=DAY, expires=DAY, **RAISE)

    assert log.refused(without).code is RuleCode.FORM
    assert "expires_at" in log.refused(without).text
    assert log.refused(at_once).code is RuleCode.EXPIRES_AT
    log.announce(0, {BUILD: 6000}, effective=DAY, expires=DAY + 1, **RAISE)


def test_a_lasting_change_has_no_end(log):
    refused = log.refused(log.announcement(0, {BUILD: 6000}, expires=DAY))

    assert (refused.code, "expires_at" in refused.text) == (RuleCode.FORM, True)


@pytest.mark.parametrize("kind", ["held", "withdrawn", "rescheduled"])
def test_a_temporary_raise_in_force_is_never_shortened(log, kind):
    log.announce(0, {BUILD: 9000}, effective=DAY, expires=9 * DAY, **RAISE)
    times = {"effective_at": DAY, "expires_at": 8 * DAY} if kind == "rescheduled" else {}

    for at in (DAY, 5 * DAY, 9 * DAY - 1, 9 * DAY):
        later = {**times, "effective_at": at} if times else {}
        assert log.refused(log.act(kind, 2, at=at, **later)).code is RuleCode.STATE


def test_a_temporary_raise_to_come_is_moved_held_and_withdrawn_freely(log):
    log.announce(0, {BUILD: 9000}, effective=DAY, expires=9 * DAY, **RAISE)

    log.log(log.act("rescheduled", 2, at=HOUR, effective_at=2 * DAY, expires_at=4 * DAY))
    log.hold(2, at=DAY)
    log.log(log.act("released", 2, at=3 * DAY, effective_at=3 * DAY, expires_at=5 * DAY))

    assert log.quotas(2 * DAY, 3 * DAY, 5 * DAY - 1, 5 * DAY) == [5000, 9000, 9000, 5000]
    assert log.quota(2 * DAY, known_at=2 * HOUR) == 9000
    assert log.history.changes[2].state(START + 5 * DAY) is State.ENDED


@pytest.mark.parametrize("ends", [None, 2 * DAY])
def test_a_moved_temporary_raise_keeps_an_end_after_its_start(log, ends):
    log.announce(0, {BUILD: 9000}, effective=DAY, expires=9 * DAY, **RAISE)

    moved = log.act("rescheduled", 2, at=HOUR, effective_at=2 * DAY, expires_at=ends)

    assert log.refused(moved).code is RuleCode.EXPIRES_AT


@pytest.mark.parametrize("change_class", [RAISE, CUT])
@pytest.mark.parametrize(
    "fields",
    [
        {"tiers": [tier("build", rank=2, entry="automatic")]},
        {"models": [{"slug": "haiku-5", "name": "Haiku 5"}]},
        {"offers": [{"tier": "start", "model": "opus-5", "offered": True, "replacement": None}]},
        {"counting": {"reserve": {"build": {"output_tokens": 1}}, "texts": {}}},
        {"counting": {"reserve": {}, "texts": {"requests": "Other words."}}},
    ],
)
def test_temporary_changes_hold_limits_only(log, change_class, fields):
    quota = 9000 if change_class is RAISE else 1000
    entry = log.announcement(0, {BUILD: quota}, expires=DAY, **change_class, **fields)

    assert log.refused(entry).code is RuleCode.FORM


# ---- emergency cuts ----


def test_an_emergency_cut_needs_no_notice_and_ends_by_itself(log):
    number = log.log(cut(log, 100, start=0, end=72 * HOUR))["body"]["change"]

    assert effect_of(log.history, number).direction is Direction.TIGHTENING
    assert log.quotas(0, 72 * HOUR - 1, 72 * HOUR) == [100, 100, 5000]


def test_emergency_cuts_go_by_minimum_of_quota_and_burst_separately(log):
    log.announce(0, {BUILD: (1000, 3000)}, expires=DAY, **CUT)
    log.announce(HOUR, {BUILD: (2000, 500)}, expires=2 * DAY, **CUT)

    assert log.policy(HOUR).limits[BUILD].limit.values() == {"quota": 1000, "burst": 500}
    assert log.policy(DAY).limits[BUILD].limit.values() == {"quota": 2000, "burst": 500}


def test_an_emergency_cut_lies_over_a_temporary_raise_and_starts_from_it(log):
    log.announce(0, {BUILD: 9000}, expires=9 * DAY, **RAISE)

    number = log.log(cut(log, 7000, start=DAY, end=3 * DAY))["body"]["change"]

    assert effect_of(log.history, number).items[0].before.quota == 9000
    assert log.quotas(0, DAY, 3 * DAY, 9 * DAY) == [9000, 7000, 9000, 5000]


def test_an_emergency_cut_under_which_a_temporary_raise_ends_keeps_the_lower(log):
    log.announce(0, {BUILD: 9000}, expires=2 * DAY, **RAISE)
    log.log(cut(log, 7000, start=DAY, end=3 * DAY))

    assert log.quotas(DAY, 2 * DAY) == [7000, 5000]
    assert log.policy(2 * DAY).limits[BUILD][1:] == (START + 2 * DAY, 2)


def test_an_emergency_cut_may_limit_what_had_no_limit(log):
    log.log(cut(log, 100, start=0, end=DAY, cell=BUILD_HOUR))

    assert log.quotas(0, DAY, cell=BUILD_HOUR) == [100, None]


def test_an_emergency_cut_brings_no_second_limit_of_one_name(log):
    """`build.sonnet-5.requests.1m` is a bucket: a window of a minute would bear its name."""
    minute = Cell("build", "sonnet-5", "requests", Kind.WINDOW, 60)

    log.refused(cut(log, 100, start=0, end=DAY, cell=minute))


@pytest.mark.parametrize("given", [5000, 5001, (4000, 5001), (5001, 4000), None])
def test_an_emergency_cut_raises_nothing(log, given):
    log.refused(log.announcement(0, {BUILD: given}, expires=DAY, **CUT))


def test_an_emergency_over_72_hours_is_refused(log):
    refused = log.refused(cut(log, 100, start=0, end=72 * HOUR + 1))

    assert refused.code is RuleCode.EMERGENCY
    assert "2026-11-26 05:00 UTC" in refused.text


def test_an_emergency_is_extended_once_and_then_left_alone_for_30_days(log):
    log.log(cut(log, 100, start=0, end=72 * HOUR))
    log.log(cut(log, 50, start=72 * HOUR, end=144 * HOUR))

    over = 144 * HOUR
    for start in (over - 1, over, over + 30 * DAY - 1):
        refused = log.refused(cut(log, 70, start=start, end=start + HOUR))
        assert refused.code is RuleCode.EMERGENCY
    # Other cells are not concerned, and nor is this one later.
    log.log(cut(log, 70, start=over, end=over + HOUR, cell=BUILD_OPUS))
    log.log(cut(log, 70, start=over + 30 * DAY, end=over + 30 * DAY + HOUR))


def test_one_cell_of_several_is_enough_to_be_left_alone(log):
    log.log(cut(log, 100, start=0, end=HOUR))
    log.log(cut(log, 50, start=HOUR, end=2 * HOUR))

    both = log.announcement(3 * HOUR, {BUILD: 10, START_CELL: 10}, expires=4 * HOUR, **CUT)

    assert log.refused(both).code is RuleCode.EMERGENCY


def test_a_pause_of_a_second_makes_no_new_emergency(log):
    for start in (0, 73 * HOUR):
        log.log(cut(log, 100, start=start, end=start + 72 * HOUR))

    assert log.refused(cut(log, 100, start=146 * HOUR, end=147 * HOUR))


def test_an_emergency_may_be_ended_early_and_stays_in_the_past(log):
    log.log(cut(log, 100, start=HOUR, end=72 * HOUR))

    log.withdraw(2, at=2 * HOUR)

    assert log.quotas(HOUR - 1, HOUR, 2 * HOUR - 1, 2 * HOUR) == [5000, 100, 100, 5000]
    ended = log.history.changes[2]
    assert (ended.state(START + 2 * HOUR), ended.expires_at) == (State.ENDED, START + 2 * HOUR)
    assert ended.state(START + 2 * HOUR - 1) is State.EFFECTIVE
    assert log.quota(3 * HOUR, known_at=2 * HOUR - 1) == 100
    assert log.refused(log.act("withdrawn", 2, at=3 * HOUR)).code is RuleCode.STATE


def test_an_emergency_ended_early_counts_from_its_early_end(log):
    log.log(cut(log, 100, start=0, end=72 * HOUR))
    log.log(cut(log, 100, start=HOUR, end=72 * HOUR))
    log.withdraw(2, at=2 * HOUR)
    log.withdraw(3, at=2 * HOUR)

    free = 2 * HOUR + 30 * DAY

    assert log.refused(cut(log, 100, start=free - 1, end=free)).code is RuleCode.EMERGENCY
    log.log(cut(log, 100, start=free, end=free + 1))


@pytest.mark.parametrize("kind", ["held", "rescheduled"])
def test_an_emergency_in_force_is_neither_held_nor_moved(log, kind):
    log.log(cut(log, 100, start=0, end=72 * HOUR))
    times = {"effective_at": DAY, "expires_at": 2 * DAY} if kind == "rescheduled" else {}

    assert log.refused(log.act(kind, 2, at=HOUR, **times)).code is RuleCode.STATE


def test_a_planned_emergency_does_not_grow_over_72_hours_by_moving_it(log):
    log.announce(0, {BUILD: 100}, effective=DAY, expires=2 * DAY, **CUT)

    moved = log.act("rescheduled", 2, at=HOUR, effective_at=2 * HOUR, expires_at=74 * HOUR + 1)

    assert log.refused(moved).code is RuleCode.EMERGENCY


def test_holding_emergencies_makes_no_room_for_a_third(log):
    for start in (DAY, 4 * DAY):
        log.announce(0, {BUILD: 100}, effective=start, expires=start + DAY, **CUT)
    log.hold(2, at=HOUR)
    log.announce(HOUR, {BUILD: 100}, effective=7 * DAY, expires=8 * DAY, **CUT)

    back = log.act("released", 2, at=2 * HOUR, effective_at=9 * DAY, expires_at=10 * DAY)

    assert log.refused(back).code is RuleCode.EMERGENCY


def test_a_notice_policy_may_promise_more_of_emergencies():
    log = Chronicle({"emergency_seconds": HOUR, "emergency_extensions": 0})

    assert log.refused(cut(log, 100, start=0, end=HOUR + 1)).code is RuleCode.EMERGENCY
    log.log(cut(log, 100, start=0, end=HOUR))
    assert log.refused(cut(log, 100, start=2 * HOUR, end=3 * HOUR)).code is RuleCode.EMERGENCY


# ---- since when, and by which change ----


def test_each_limit_tells_since_when_and_by_which_change(log):
    log.announce(0, {BUILD: 9000}, effective=DAY, expires=4 * DAY, **RAISE)
    log.announce(0, {BUILD: 6000}, effective=2 * DAY)
    log.log(cut(log, 100, start=3 * DAY, end=5 * DAY))

    told = [log.policy(day * DAY).limits[BUILD] for day in range(6)]

    assert [(held.limit.quota, held.since, held.change) for held in told] == [
        (5000, START - DAY, 1),
        (9000, START + DAY, 2),
        (9000, START + DAY, 2),
        (100, START + 3 * DAY, 4),
        (100, START + 3 * DAY, 4),
        (6000, START + 5 * DAY, 4),
    ]
    assert log.policy(5 * DAY).limits[SPEND][1:] == (START - DAY, 1)


def test_the_instants_at_which_limits_may_differ(log):
    log.announce(0, {BUILD: 9000}, effective=DAY, expires=4 * DAY, **RAISE)
    log.announce(0, {BUILD: 6000}, effective=2 * DAY)
    log.announce(0, {BUILD_OPUS: 6000}, effective=3 * DAY)
    log.hold(4, at=HOUR)

    offsets = [instant - START for instant in log.history.instants()]

    assert offsets == [-DAY, DAY, 2 * DAY, 4 * DAY]
