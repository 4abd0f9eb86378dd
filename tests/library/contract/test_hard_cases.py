"""The cases that a rule on single diffs gets wrong (LIMITS.md section 2)."""

import pytest

from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import effect_of
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
    Chronicle,
    offer,
)
from tests.library.contract.samples import tier

BUILD_MINUTE = Cell("build", "sonnet-5", "requests", Kind.WINDOW, 60)


@pytest.fixture
def log() -> Chronicle:
    """Build has 5,000 requests a minute with Sonnet 5 since day 0."""
    return Chronicle()


def short_of_notice(log, entry):
    """The refusal of an entry that comes too soon, seen to be right about the earliest instant."""
    refused = log.refused(entry)
    assert refused.code is RuleCode.NOTICE
    return refused


# ---- two raises that make a cut ----


def test_two_raises_make_a_cut(log):
    log.announce(0, {BUILD: 6000}, effective=25 * DAY)

    refused = short_of_notice(log, log.announcement(1, {BUILD: 9000}, effective=20 * DAY))

    assert "change 2" in refused.text
    assert "from 9,000 to 6,000" in refused.text
    assert refused.earliest == START + 25 * DAY


def test_the_second_raise_may_come_with_the_first_or_take_its_place(log):
    log.announce(0, {BUILD: 6000}, effective=25 * DAY)

    together = log.twin()
    together.announce(1, {BUILD: 9000}, effective=25 * DAY)
    instead = log.replacing([2], 1)
    instead.announce(1, {BUILD: 9000}, effective=20 * DAY)

    assert together.quotas(25 * DAY - 1, 25 * DAY) == [5000, 9000]
    assert instead.quotas(20 * DAY - 1, 20 * DAY, 40 * DAY) == [5000, 9000, 9000]


def test_two_raises_may_make_a_cut_that_lies_its_notice_ahead(log):
    log.announce(0, {BUILD: 6000}, effective=25 * DAY + 30 * DAY)

    log.announce(25 * DAY, {BUILD: 9000})

    assert log.quotas(25 * DAY, 55 * DAY) == [9000, 6000]


def test_a_raise_before_an_announced_cut_makes_the_cut_larger(log):
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)

    refused = short_of_notice(log, log.announcement(1, {BUILD: 6000}))

    assert "from 6,000 to 4,000" in refused.text
    log.announce(1, {BUILD: 6000}, effective=30 * DAY)


def test_a_raise_of_one_limit_makes_no_cut_of_another(log):
    log.announce(0, {BUILD_OPUS: 6000}, effective=25 * DAY)

    log.announce(1, {BUILD: 9000}, effective=20 * DAY)

    assert log.quotas(26 * DAY) == [9000]


# ---- layers ----


def test_a_raise_planned_inside_an_emergency_does_not_end_it(log):
    log.announce(0, {BUILD: 6000}, effective=11 * DAY)
    log.announce(10 * DAY, {BUILD: 2000}, expires=12 * DAY, **{"class": "emergency_cut"})

    assert log.quotas(10 * DAY - 1, 10 * DAY, 11 * DAY, 12 * DAY - 1, 12 * DAY) == [
        5000,
        *(2000, 2000, 2000),
        6000,
    ]


def test_a_raise_published_inside_an_emergency_starts_from_the_lasting_limit(log):
    log.announce(0, {BUILD: 2000}, expires=2 * DAY, **{"class": "emergency_cut"})

    number = log.announce(DAY, {BUILD: 6000})

    assert effect_of(log.history, number).direction is Direction.LOOSENING
    assert effect_of(log.history, number).items[0].before.quota == 5000
    assert log.quotas(DAY, 2 * DAY) == [2000, 6000]


def test_a_raise_under_a_temporary_raise_is_no_cut(log):
    log.announce(0, {BUILD: 9000}, expires=20 * DAY, **{"class": "temporary_raise"})

    number = log.announce(10 * DAY, {BUILD: 6000})

    assert effect_of(log.history, number).direction is Direction.LOOSENING
    assert log.quotas(0, 10 * DAY, 20 * DAY - 1, 20 * DAY) == [9000, 9000, 9000, 6000]


def test_a_cut_under_a_temporary_raise_needs_its_notice_all_the_same(log):
    log.announce(0, {BUILD: 9000}, expires=90 * DAY, **{"class": "temporary_raise"})

    refused = short_of_notice(log, log.announcement(DAY, {BUILD: 4999}))

    assert refused.earliest == START + 31 * DAY
    assert "from 5,000 to 4,999" in refused.text


def test_the_end_of_a_temporary_raise_needs_no_notice(log):
    log.announce(0, {BUILD: 9000}, expires=60, **{"class": "temporary_raise"})

    assert log.quotas(0, 59, 60) == [9000, 9000, 5000]


# ---- sets ----


@pytest.mark.parametrize("kind", [Kind.BUCKET, Kind.WINDOW])
def test_4000_an_hour_to_4000_a_minute_is_a_raise_and_back_is_a_cut(log, kind):
    hourly = Cell("start", "sonnet-5", "input_tokens", kind, 3600)
    minutely = Cell("start", "sonnet-5", "input_tokens", kind, 60)
    log.announce(0, {hourly: 4000}, effective=30 * DAY)

    number = log.announce(31 * DAY, {hourly: None, minutely: 4000})
    back = log.announcement(32 * DAY, {hourly: 4000, minutely: None})

    assert effect_of(log.history, number).direction is Direction.LOOSENING
    assert short_of_notice(log, back).earliest == START + 62 * DAY


def test_a_limit_beside_another_tightens_though_no_number_falls(log):
    refused = short_of_notice(log, log.announcement(0, {BUILD_HOUR: 100_000}))

    assert refused.earliest == START + 30 * DAY
    assert "100,000" in refused.text


def test_a_limit_that_others_imply_takes_nothing_away(log):
    daily = Cell("start", "sonnet-5", "output_tokens", Kind.WINDOW, 86_400)
    hourly = Cell("start", "sonnet-5", "output_tokens", Kind.WINDOW, 3_600)
    log.announce(0, {hourly: 100}, effective=30 * DAY)

    number = log.announce(30 * DAY, {daily: 2400})

    assert effect_of(log.history, number).direction is Direction.NEUTRAL
    assert short_of_notice(log, log.announcement(30 * DAY, {daily: 2399}))


def test_a_higher_quota_does_not_pay_for_a_smaller_burst(log):
    refused = short_of_notice(log, log.announcement(0, {BUILD: (9000, 4999)}))

    assert "burst" in refused.text
    assert "from 5,000 to 4,999" in refused.text


def test_a_change_that_raises_and_cuts_is_mixed_and_needs_notice(log):
    rows = {BUILD: 4000, START_CELL: 2000}

    assert short_of_notice(log, log.announcement(0, rows)).earliest == START + 30 * DAY
    number = log.announce(0, rows, effective=30 * DAY)
    assert effect_of(log.history, number).direction is Direction.MIXED
    assert effect_of(log.history, number).tightened == {("build", "sonnet-5")}
    assert effect_of(log.history, number).tiers == {"build", "start"}


# ---- what is new ----


def test_a_new_model_and_a_new_tier_at_once_neither_tighten_nor_loosen(log):
    scale = Cell("scale", "fable-5", "requests", Kind.BUCKET, 60)
    shared = Cell("scale", "*", "spend_microusd", Kind.WINDOW, "month")

    number = log.announce(
        0,
        {scale: 1, shared: 1},
        models=[{"slug": "fable-5", "name": "Fable 5"}],
        tiers=[tier("scale", rank=3, entry="contact")],
        offers=[offer(("scale", "fable-5"))],
        counting={"reserve": {"scale": {"output_tokens": 9999}}, "texts": {}},
    )

    effect = effect_of(log.history, number)
    assert {item.direction for item in effect.items} <= {Direction.NEUTRAL, Direction.LOOSENING}
    assert {item.direction for item in effect.items if item.kind == "limit"} == {Direction.NEUTRAL}
    assert log.quotas(0, cell=scale) == [1]


def test_a_new_model_in_a_tier_that_stands_brings_its_limits_but_no_shared_one(log):
    opus = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)
    shared = Cell("start", "*", "spend_microusd", Kind.WINDOW, "month")
    offers = [offer(("start", "opus-5"))]

    assert short_of_notice(log, log.announcement(0, {opus: 1, shared: 10**9}, offers=offers))
    log.announce(0, {opus: 1}, offers=offers)
    assert short_of_notice(log, log.announcement(0, {opus: (2, 1), START_CELL: 999}))


def test_a_metric_that_had_no_limit_gets_one_only_with_notice(log):
    tokens = Cell("start", "sonnet-5", "input_tokens", Kind.BUCKET, 60)

    assert short_of_notice(log, log.announcement(0, {tokens: 10**6})).earliest == START + 30 * DAY


def test_change_1_may_say_anything_at_once():
    log = Chronicle()

    assert effect_of(log.history, 1).direction is Direction.NEUTRAL
    assert log.quotas(-DAY - 1, -DAY) == [None, 5000]


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

    assert short_of_notice(log, too_soon).earliest == START + earliest
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

    assert short_of_notice(log, seven).earliest == START + 32 * DAY


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
    assert short_of_notice(log, log.act("released", 3, at=10 * DAY, effective_at=50 * DAY - 1))
    log.release(3, at=10 * DAY, effective_at=50 * DAY)
    assert log.quotas(50 * DAY - 1, 50 * DAY) == [5000, 4500]


def test_a_raise_left_alone_by_a_withdrawn_cut_needs_the_full_notice_of_a_cut(log):
    log.announce(0, {BUILD: 4000}, effective=35 * DAY)
    log.announce(0, {BUILD: 4500}, effective=36 * DAY)
    log.withdraw(2, at=34 * DAY)

    seven = log.act("released", 3, at=34 * DAY, effective_at=41 * DAY)

    assert short_of_notice(log, seven).earliest == START + 64 * DAY


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
    assert short_of_notice(alone, alone.announcement(25 * DAY, {BUILD: 4500}, effective=30 * DAY))


def test_a_replacement_may_not_be_harder_or_sooner(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    twin = log.replacing([2], 25 * DAY)

    harder = twin.announcement(25 * DAY, {BUILD: 3999}, effective=40 * DAY)
    sooner = twin.announcement(25 * DAY, {BUILD: 4500}, effective=40 * DAY - 1)
    other = twin.announcement(25 * DAY, {BUILD_OPUS: 2000}, effective=40 * DAY)

    assert short_of_notice(twin, harder).earliest == START + 55 * DAY
    assert short_of_notice(twin, sooner).earliest == START + 40 * DAY
    assert short_of_notice(twin, other).earliest == START + 55 * DAY


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

    assert short_of_notice(later, softer)
    assert short_of_notice(apart, between)


def test_what_replaces_a_change_is_the_next_change(log):
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)

    refused = log.refused(log.act("withdrawn", 2, at=0, replaced_by=4))

    assert refused.code is RuleCode.CHANGE_NUMBER


def test_postponing_a_cut_is_free_and_bringing_it_forward_is_not(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)

    log.reschedule(2, at=39 * DAY, effective_at=41 * DAY)
    forward = log.act("rescheduled", 2, at=39 * DAY, effective_at=41 * DAY - 1)

    # It had been announced for that instant once, but was taken back.
    assert short_of_notice(log, forward).earliest == START + 41 * DAY
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

    refused = short_of_notice(log, log.act("rescheduled", 2, at=20 * DAY, effective_at=45 * DAY))

    assert "change 3" in refused.text
    assert "from 5,000 to 3,000" in refused.text


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
    assert short_of_notice(log, seven).earliest == START + 33 * DAY


def test_limits_of_a_held_offer_do_not_come_back_as_a_cut_in_seven_days(log):
    """They were neither gain nor loss while nobody could use the model."""
    opus = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)
    offers = [offer(("start", "opus-5"))]
    log.announce(0, {opus: 1000}, offers=offers, effective=2 * DAY)
    log.hold(2, at=DAY)
    log.announce(DAY, {opus: 5000}, offers=offers)

    seven = log.act("released", 2, at=2 * DAY, effective_at=9 * DAY)

    assert short_of_notice(log, seven).earliest == START + 32 * DAY


def test_a_released_limit_is_judged_by_itself_among_limits_that_moved_meanwhile(log):
    """What was announced and held is 4,000 a minute; the hourly limit had notice of its own."""
    log.announce(0, {BUILD: 4000}, effective=30 * DAY)
    log.hold(2, at=29 * DAY)
    log.announce(29 * DAY, {BUILD_HOUR: 100_000}, effective=59 * DAY)

    log.release(2, at=60 * DAY, effective_at=67 * DAY)

    assert log.quotas(67 * DAY - 1, 67 * DAY) == [5000, 4000]
