"""Changes that are held, released, withdrawn, replaced or moved: no way around the notice."""

import pytest

from plimsoll.contract.history import State, Status
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
    offer,
)

# ---- hold and release ----


def test_a_cut_held_a_second_before_its_instant_does_not_come(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)

    log.hold(2, at=40 * DAY - 1)

    held = log.history.changes[2]
    assert log.quotas(40 * DAY, 400 * DAY) == [5000, 5000]
    assert (held.status, held.held_at, held.notice_left) == (Status.HELD, START + 40 * DAY - 1, 1)
    assert held.state(START + 400 * DAY) is State.HELD
    # What was known before the hold stays known.
    assert log.quota(40 * DAY, known_at=40 * DAY - 2) == 4000


def test_a_cut_cannot_be_held_at_its_instant(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)

    assert log.refused(log.act("held", 2, at=40 * DAY)).code is RuleCode.STATE


@pytest.mark.parametrize(
    ("held", "released", "earliest"),
    [
        (40 * DAY - 1, 40 * DAY, 47 * DAY),
        (40 * DAY - 1, 40 * DAY - 1, 47 * DAY - 1),
        (33 * DAY, 50 * DAY, 57 * DAY),
        (33 * DAY - 1, 50 * DAY, 57 * DAY + 1),
        (20 * DAY, 25 * DAY, 45 * DAY),
        (0, 400 * DAY, 440 * DAY),
    ],
)
def test_a_released_cut_has_seven_days_or_what_was_left(log, held, released, earliest):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    log.hold(2, at=held)

    too_soon = log.act("released", 2, at=released, effective_at=earliest - 1)

    assert log.short_of_notice(too_soon).earliest == START + earliest
    log.release(2, at=released, effective_at=earliest)
    assert log.quotas(earliest - 1, earliest) == [5000, 4000]


def test_a_released_raise_comes_at_once(log):
    log.announce(0, {BUILD: 6000}, effective=40 * DAY)
    log.hold(2, at=DAY)

    log.release(2, at=2 * DAY, effective_at=2 * DAY)

    assert log.quotas(2 * DAY - 1, 2 * DAY) == [5000, 6000]


def test_a_raise_that_was_held_does_not_come_back_as_a_cut_in_seven_days(log):
    """Else any cut could be had with 7 days' notice: a small raise held, a large one published."""
    log.announce(0, {BUILD: 6000}, effective=2 * DAY)
    log.hold(2, at=DAY)
    log.announce(DAY, {BUILD: 9000})

    seven = log.act("released", 2, at=2 * DAY, effective_at=9 * DAY)

    assert log.short_of_notice(seven).earliest == START + 32 * DAY


def test_only_what_is_held_is_released(log):
    log.announce(0, {BUILD: 6000}, effective=40 * DAY)

    for number in (1, 2):
        released = log.act("released", number, at=DAY, effective_at=DAY)
        assert log.refused(released).code is RuleCode.STATE


def test_a_held_change_does_not_take_its_time_back(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    log.hold(2, at=DAY)

    assert log.refused(log.act("rescheduled", 2, at=DAY, effective_at=99 * DAY))
    assert log.refused(log.act("held", 2, at=DAY)).code is RuleCode.STATE
    assert log.refused(log.act("released", 2, at=2 * DAY, effective_at=2 * DAY - 1))
    log.withdraw(2, at=2 * DAY)
    assert log.refused(log.act("released", 2, at=3 * DAY, effective_at=99 * DAY))


# ---- what stands on another change ----


def test_withdrawing_a_cut_holds_the_later_raise_that_stands_on_it(log):
    log.announce(0, {BUILD: 4000}, effective=35 * DAY)
    log.announce(0, {BUILD: 4500}, effective=50 * DAY)

    log.withdraw(2, at=10 * DAY)

    taken = log.history.changes[3]
    assert (taken.status, taken.held_by, taken.notice_left) == (Status.HELD, 2, 40 * DAY)
    assert log.quotas(35 * DAY, 50 * DAY) == [5000, 5000]
    # Alone it is a cut, which nobody was told of.
    assert log.short_of_notice(log.act("released", 3, at=10 * DAY, effective_at=50 * DAY - 1))
    log.release(3, at=10 * DAY, effective_at=50 * DAY)
    assert log.quotas(50 * DAY - 1, 50 * DAY) == [5000, 4500]


def test_a_raise_left_alone_by_a_withdrawn_cut_needs_the_full_notice_of_a_cut(log):
    log.announce(0, {BUILD: 4000}, effective=35 * DAY)
    log.announce(0, {BUILD: 4500}, effective=36 * DAY)
    log.withdraw(2, at=34 * DAY)

    seven = log.act("released", 3, at=34 * DAY, effective_at=41 * DAY)

    assert log.short_of_notice(seven).earliest == START + 64 * DAY


def test_holding_a_raise_holds_the_later_cut_of_it(log):
    log.announce(0, {BUILD: 9000}, effective=10 * DAY)
    log.announce(0, {BUILD: 8000}, effective=40 * DAY)

    log.hold(2, at=DAY)

    assert log.history.changes[3].held_by == 2
    assert log.quotas(40 * DAY, 99 * DAY) == [5000, 5000]


def test_a_hold_passes_on_along_shared_cells_and_not_back(log):
    log.announce(0, {SPEND: 3 * 10**9}, effective=5 * DAY)
    log.announce(0, {BUILD: 6000}, effective=10 * DAY)
    log.announce(0, {BUILD: 7000, BUILD_OPUS: 4000}, effective=20 * DAY)
    log.announce(0, {BUILD_OPUS: 5000}, effective=30 * DAY)
    log.announce(0, {BUILD_OPUS: 3500}, effective=19 * DAY)
    log.announce(0, {START_CELL: 2000}, effective=40 * DAY)

    log.hold(3, at=DAY)

    held = {each.number for each in log.history.changes.values() if each.status is Status.HELD}
    assert held == {3, 4, 5}
    assert log.quotas(50 * DAY, cell=BUILD_OPUS) == [3500]


# ---- replacing and moving ----


def test_an_announced_cut_may_be_softened_with_less_than_the_full_notice_left(log):
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)

    softer = log.replacing([2], 25 * DAY)
    softer.announce(25 * DAY, {BUILD: 4500}, effective=30 * DAY)

    assert softer.quotas(30 * DAY - 1, 30 * DAY) == [5000, 4500]
    assert softer.history.changes[2].replaced_by == 3
    # Without the link it is a new cut.
    alone = log.twin()
    alone.withdraw(2, at=25 * DAY)
    assert alone.short_of_notice(alone.announcement(25 * DAY, {BUILD: 4500}, effective=30 * DAY))


def test_a_replacement_may_not_be_harder_or_sooner(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    twin = log.replacing([2], 25 * DAY)

    harder = twin.announcement(25 * DAY, {BUILD: 3999}, effective=40 * DAY)
    sooner = twin.announcement(25 * DAY, {BUILD: 4500}, effective=40 * DAY - 1)
    other = twin.announcement(25 * DAY, {BUILD_OPUS: 2000}, effective=40 * DAY)

    assert twin.short_of_notice(harder).earliest == START + 55 * DAY
    assert twin.short_of_notice(sooner).earliest == START + 40 * DAY
    assert twin.short_of_notice(other).earliest == START + 55 * DAY


def test_a_replacement_counts_only_in_the_same_second_and_next_to_it(log):
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)
    later = log.replacing([2], 25 * DAY)
    apart = log.twin()
    apart.announce(25 * DAY, {START_CELL: 1001})
    number = apart.next_number
    apart.withdraw(2, at=25 * DAY, replaced_by=number)
    apart.log(apart.act("amended", 3, at=25 * DAY))

    softer = later.announcement(25 * DAY + 1, {BUILD: 4500}, effective=30 * DAY)
    between = apart.announcement(25 * DAY, {BUILD: 4500}, effective=30 * DAY)

    assert later.short_of_notice(softer)
    assert apart.short_of_notice(between)


def test_of_two_withdrawals_only_that_of_the_same_second_counts(log):
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)
    log.announce(0, {BUILD_OPUS: 2000}, effective=30 * DAY)
    log.withdraw(2, at=24 * DAY, replaced_by=4)
    log.withdraw(3, at=25 * DAY, replaced_by=4)

    first = log.announcement(25 * DAY, {BUILD: 4500}, effective=30 * DAY)

    assert log.short_of_notice(first).earliest == START + 55 * DAY
    log.announce(25 * DAY, {BUILD_OPUS: 2500}, effective=30 * DAY)


def test_what_replaces_a_held_change_is_new(log):
    """It stood on no timeline, and another cut of its instant is not its own."""
    log.announce(0, {BUILD: 4500}, effective=40 * DAY)
    log.hold(2, at=DAY)
    log.announce(DAY, {BUILD: 4000}, effective=40 * DAY)
    log.announce(DAY, {BUILD: 5000}, effective=45 * DAY)
    twin = log.replacing([2], 20 * DAY)

    again = twin.announcement(20 * DAY, {BUILD: 4000}, effective=46 * DAY)

    assert twin.short_of_notice(again).earliest is not None


def test_a_released_cut_does_not_hide_behind_another_of_the_instant_it_had(log):
    log.announce(0, {BUILD: 4500}, effective=40 * DAY)
    log.hold(2, at=DAY)
    log.announce(DAY, {BUILD: 4000}, effective=40 * DAY)
    log.announce(DAY, {BUILD: 5000}, effective=45 * DAY)

    released = log.act("released", 2, at=20 * DAY, effective_at=46 * DAY)

    assert log.refused(released).code is RuleCode.NOTICE


def test_what_replaces_a_change_is_the_next_change(log):
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)

    refused = log.refused(log.act("withdrawn", 2, at=0, replaced_by=4))

    assert refused.code is RuleCode.CHANGE_NUMBER


def test_postponing_a_cut_is_free_and_bringing_it_forward_is_not(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)

    log.reschedule(2, at=39 * DAY, effective_at=41 * DAY)
    forward = log.act("rescheduled", 2, at=39 * DAY, effective_at=41 * DAY - 1)

    # It had been announced for that instant once, but was taken back.
    assert log.short_of_notice(forward).earliest == START + 41 * DAY
    assert log.quotas(41 * DAY - 1, 41 * DAY) == [5000, 4000]
    log.reschedule(2, at=39 * DAY, effective_at=69 * DAY)
    log.reschedule(2, at=39 * DAY, effective_at=10**3 * DAY)
    log.reschedule(2, at=39 * DAY, effective_at=69 * DAY)


def test_bringing_a_raise_forward_is_free(log):
    log.announce(0, {BUILD: 6000}, effective=40 * DAY)

    log.reschedule(2, at=DAY, effective_at=DAY)

    assert log.quotas(DAY - 1, DAY) == [5000, 6000]


def test_a_cut_is_not_postponed_behind_another_that_would_grow_by_it(log):
    log.announce(0, {BUILD: 4000}, effective=35 * DAY)
    log.announce(0, {BUILD: 3000}, effective=40 * DAY)

    refused = log.short_of_notice(log.act("rescheduled", 2, at=20 * DAY, effective_at=45 * DAY))

    assert "change 3" in refused.text
    assert "from 5,000 to 3,000" in refused.text


def test_postponing_a_cut_does_not_make_a_cut_of_a_later_raise(log):
    log.announce(0, {BUILD: 3000}, effective=35 * DAY)
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)

    refused = log.short_of_notice(log.act("rescheduled", 2, at=20 * DAY, effective_at=45 * DAY))

    assert "change 3 lowers" in refused.text
    assert "from 5,000 to 4,000" in refused.text


def test_a_released_offer_does_not_shorten_the_notice_of_a_cut_that_it_uncovers(log):
    """Nobody met the limit while the model was not offered: the cut is new to them."""
    opus = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)
    log.announce(0, offers=[offer(("start", "opus-5"))], effective=10 * DAY)
    log.announce(0, {opus: 9000})
    log.announce(0, {opus: 4000}, effective=50 * DAY)
    log.hold(2, at=DAY)

    refused = log.short_of_notice(log.act("released", 2, at=30 * DAY, effective_at=31 * DAY))

    assert "change 4 lowers Start · Opus 5" in refused.text
    assert refused.earliest == START + 50 * DAY


def test_withdrawing_a_raise_makes_no_cut(log):
    log.announce(0, {BUILD: 6000}, effective=10 * DAY)

    log.withdraw(2, at=10 * DAY - 1)

    assert log.quotas(10 * DAY, 99 * DAY) == [5000, 5000]
    assert log.refused(log.act("withdrawn", 2, at=10 * DAY)).code is RuleCode.STATE


@pytest.mark.parametrize("kind", ["held", "withdrawn", "rescheduled"])
def test_what_is_in_force_stays(log, kind):
    log.announce(0, {BUILD: 6000})
    extra = {"effective_at": 9 * DAY} if kind == "rescheduled" else {}

    assert log.refused(log.act(kind, 2, at=0, **extra)).code is RuleCode.STATE
    assert log.refused(log.act(kind, 1, at=HOUR, **extra)).code is RuleCode.STATE


def test_a_gain_of_two_changes_at_one_instant_does_not_come_back_as_a_loss_in_seven_days(log):
    """The second one starts `from` 9,000, which nobody ever had: it was no cut on the timeline."""
    log.announce(0, {BUILD: 9000}, effective=2 * DAY)
    log.announce(0, {BUILD: 6000}, effective=2 * DAY)
    log.hold(3, at=DAY)

    seven = log.act("released", 3, at=3 * DAY, effective_at=10 * DAY)

    assert log.quotas(2 * DAY) == [9000]
    assert log.short_of_notice(seven).earliest == START + 33 * DAY


def test_limits_of_a_held_offer_do_not_come_back_as_a_cut_in_seven_days(log):
    """They were neither gain nor loss while nobody could use the model."""
    opus = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)
    offers = [offer(("start", "opus-5"))]
    log.announce(0, {opus: 1000}, offers=offers, effective=2 * DAY)
    log.hold(2, at=DAY)
    log.announce(DAY, {opus: 5000}, offers=offers)

    seven = log.act("released", 2, at=2 * DAY, effective_at=9 * DAY)

    assert log.short_of_notice(seven).earliest == START + 32 * DAY


def test_a_released_limit_is_judged_by_itself_among_limits_that_moved_meanwhile(log):
    """What was announced and held is 4,000 a minute; the hourly limit had notice of its own."""
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)
    log.hold(2, at=29 * DAY)
    log.announce(29 * DAY, {BUILD_HOUR: 100_000}, effective=59 * DAY)

    log.release(2, at=60 * DAY, effective_at=67 * DAY)

    assert log.quotas(67 * DAY - 1, 67 * DAY) == [5000, 4000]
