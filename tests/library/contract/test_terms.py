"""Offers, tiers and counting: what tightens besides limits, and what notice it needs."""

import pytest

from plimsoll.contract.effect import effect_of
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.rules import RuleCode
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_OPUS,
    DAY,
    START,
    START_CELL,
    offer,
)
from tests.library.contract.samples import tier


def build(**fields):
    return tier("build", **{"rank": 2, "entry": "request", **fields})


def notice_of(log, **fields):
    """Days of notice that a change with these fields needs, found by trying; None if it is void."""
    refused = None
    for days in (0, 30, 90):
        entry = log.announcement(DAY, effective=(1 + days) * DAY, **fields)
        twin = log.twin()
        try:
            twin.log(entry)
        except ValueError as error:
            refused = error
            continue
        if days:
            second_less = log.announcement(DAY, effective=(1 + days) * DAY - 1, **fields)
            assert log.refused(second_less).earliest == START + (1 + days) * DAY
        return days
    raise AssertionError(refused)


# ---- offers ----


def test_a_withdrawn_offer_needs_90_days_and_what_replaces_it(log):
    retired = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]

    assert notice_of(log, offers=retired) == 90
    number = log.announce(DAY, offers=retired, effective=91 * DAY)
    assert effect_of(log.history, number).is_retirement
    assert log.policy(91 * DAY - 1).offers - log.policy(91 * DAY).offers == {("build", "opus-5")}


def test_what_replaces_an_offer_stays_offered(log):
    retired = offer(("build", "opus-5"), replacement=("start", "opus-5"))
    itself = offer(("build", "opus-5"), replacement=("build", "opus-5"))
    each_other = [
        offer(("build", "opus-5"), replacement=("build", "sonnet-5")),
        offer(("build", "sonnet-5"), replacement=("build", "opus-5")),
    ]

    for offers in ([retired], [itself], each_other):
        assert log.refused(log.announcement(0, effective=95 * DAY, offers=offers))
    opened = [retired, offer(("start", "opus-5"))]
    log.announce(0, effective=95 * DAY, offers=opened)


def test_what_replaces_an_offer_is_not_withdrawn_before_it_does(log):
    first = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]
    second = [offer(("build", "sonnet-5"), replacement=("start", "sonnet-5"))]
    log.announce(0, effective=100 * DAY, offers=first)

    assert log.refused(log.announcement(0, effective=99 * DAY, offers=second))
    assert log.refused(log.announcement(0, effective=100 * DAY, offers=second))


def test_what_replaces_an_offer_is_not_held_back(log):
    log.announce(0, offers=[offer(("start", "opus-5"))], effective=50 * DAY)
    retired = [offer(("build", "opus-5"), replacement=("start", "opus-5"))]
    log.announce(0, offers=retired, effective=95 * DAY)

    for kind in ("held", "withdrawn"):
        assert log.refused(log.act(kind, 2, at=DAY)).code is RuleCode.TABLE
    log.withdraw(3, at=DAY)
    log.hold(2, at=DAY)


def test_the_last_tier_of_automatic_entry_keeps_an_offer(log):
    retired = [offer(("start", "sonnet-5"), replacement=("build", "sonnet-5"))]

    assert log.refused(log.announcement(0, effective=95 * DAY, offers=retired))
    by_hand = log.announcement(
        0, effective=95 * DAY, tiers=[tier("start", entry="contact")], offers=[]
    )
    assert log.refused(by_hand)


def test_a_tier_is_retired_by_withdrawing_all_its_offers(log):
    retired = [
        offer(("build", model), replacement=("start", "sonnet-5"))
        for model in ("opus-5", "sonnet-5")
    ]

    assert notice_of(log, offers=retired) == 90
    log.announce(0, effective=90 * DAY, offers=retired)
    assert not log.policy(90 * DAY).has_offers("build")


def test_a_limit_of_what_is_not_offered_takes_nothing_away(log):
    opus = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)

    assert notice_of(log, rows={opus: 10}) == 0


def test_a_limit_may_fall_when_its_offer_ends_and_not_a_second_before(log):
    retired = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]
    log.announce(0, offers=retired, effective=90 * DAY)

    before = log.announcement(80 * DAY, {BUILD_OPUS: 1}, effective=90 * DAY - 1)

    assert log.refused(before).code is RuleCode.NOTICE
    log.announce(80 * DAY, {BUILD_OPUS: 1}, effective=90 * DAY)


def test_an_offer_that_comes_later_does_not_hide_a_cut_of_what_is_offered(log):
    log.announce(0, offers=[offer(("start", "opus-5"))], effective=40 * DAY)

    assert notice_of(log, rows={START_CELL: 999}) == 30


# ---- tiers ----


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        ({"entry": "contact"}, 30),
        ({"entry": "automatic"}, 0),
        ({"keys_max": 24}, 30),
        ({"keys_max": 26}, 0),
        ({"keys_max": None}, 0),
        ({"requirements": {"email_confirmed": True, "paid_microusd": 1}}, 30),
        ({"requirements": {"email_confirmed": True, "second_factor": False}}, 0),
        ({"requirements": {}}, 0),
        ({"requirements": {"second_factor": True}}, 30),
        ({"name": "Builders"}, 0),
        ({"description": "For applications in production."}, 0),
        ({"rank": 3}, 0),
    ],
)
def test_a_stricter_tier_needs_notice_and_a_kinder_one_does_not(log, fields, days):
    assert notice_of(log, tiers=[build(**fields)]) == days


def test_a_maximum_of_keys_where_none_was_needs_notice(log):
    log.announce(0, tiers=[build(keys_max=None)])

    assert notice_of(log, tiers=[build(keys_max=10**6)]) == 30


def test_a_harder_requirement_needs_notice_and_an_easier_one_does_not(log):
    log.announce(0, tiers=[build(requirements={"account_age_days": 7})], effective=30 * DAY)
    log.announce(30 * DAY, {BUILD: 5001})

    harder, easier = ([build(requirements={"account_age_days": days})] for days in (8, 6))

    assert log.refused(log.announcement(31 * DAY, tiers=harder)).earliest == START + 61 * DAY
    log.announce(31 * DAY, tiers=easier)


def test_two_tiers_do_not_share_a_rank(log):
    assert log.refused(log.announcement(0, tiers=[build(rank=1)]))


# ---- counting ----


@pytest.mark.parametrize(
    ("counting", "days"),
    [
        ({"reserve": {"build": {"output_tokens": 4097}}, "texts": {}}, 30),
        ({"reserve": {"build": {"output_tokens": 4095}}, "texts": {}}, 0),
        ({"reserve": {"build": {"total_tokens": 1}}, "texts": {}}, 30),
        ({"reserve": {}, "texts": {"requests": "Each request counts one, refused or not."}}, 30),
        ({"reserve": {}, "texts": {"concurrent_requests": "From admission to the end."}}, 0),
    ],
)
def test_a_counting_rule_needs_notice_unless_it_can_only_admit_more(log, counting, days):
    assert notice_of(log, counting=counting) == days


@pytest.mark.parametrize(
    ("first", "second", "later"),
    [
        ({"tiers": [build(keys_max=30)]}, {"tiers": [build(keys_max=50)]}, 30),
        (
            {"counting": {"reserve": {"build": {"output_tokens": 3000}}, "texts": {}}},
            {"counting": {"reserve": {"build": {"output_tokens": 2000}}, "texts": {}}},
            30,
        ),
    ],
)
def test_what_was_held_as_a_gain_does_not_come_back_as_a_loss_in_seven_days(
    log, first, second, later
):
    """As with limits: 7 days are for what was announced as a loss."""
    log.announce(0, effective=2 * DAY, **first)
    log.hold(2, at=DAY)
    log.announce(DAY, **second)

    seven = log.act("released", 2, at=2 * DAY, effective_at=9 * DAY)

    assert log.refused(seven).earliest == START + (2 + later) * DAY


@pytest.mark.parametrize(
    "fields",
    [
        {"tiers": [build(keys_max=20)]},
        {"counting": {"reserve": {"build": {"output_tokens": 5000}}, "texts": {}}},
        {"counting": {"reserve": {}, "texts": {"requests": "Each counts two."}}},
    ],
)
def test_what_was_announced_as_a_loss_is_released_after_seven_days(log, fields):
    log.announce(0, effective=30 * DAY, **fields)
    log.hold(2, at=29 * DAY)

    too_soon = log.act("released", 2, at=29 * DAY, effective_at=36 * DAY - 1)

    assert log.refused(too_soon).earliest == START + 36 * DAY
    log.release(2, at=29 * DAY, effective_at=36 * DAY)


def test_a_released_retirement_has_what_was_left(log):
    retired = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]
    log.announce(0, offers=retired, effective=90 * DAY)
    log.hold(2, at=30 * DAY)

    too_soon = log.act("released", 2, at=40 * DAY, effective_at=100 * DAY - 1)

    assert log.refused(too_soon).earliest == START + 100 * DAY
