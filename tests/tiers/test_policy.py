from datetime import UTC, datetime, timedelta

import pytest

from plimsoll.contract.terms import Tier
from portal.tiers.errors import NoticeTooShort
from portal.tiers.policy import must_give_notice, next_reminder

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def tier(rank: int) -> Tier:
    return Tier(f"t{rank}", f"T{rank}", rank, "automatic", "", {}, None)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 2)])
def test_a_move_up_or_sideways_needs_no_notice(before, after):
    must_give_notice(tier(before), tier(after), placed_at=NOON, effective_at=NOON, seconds=86_400)


def test_a_move_down_needs_its_notice_to_the_second():
    tiers, second = (tier(2), tier(1)), timedelta(seconds=1)
    must_give_notice(*tiers, placed_at=NOON, effective_at=NOON + DAY, seconds=86_400)

    with pytest.raises(NoticeTooShort):
        must_give_notice(*tiers, placed_at=NOON, effective_at=NOON + DAY - second, seconds=86_400)


@pytest.mark.parametrize(
    ("days_left", "expected"),
    [(30, 7), (8, 7), (7, 1), (2, 1), (1, None), (0.5, None)],
)
def test_the_next_reminder_is_the_one_that_still_lies_ahead(days_left, expected):
    turns_at = NOON + days_left * DAY

    found = next_reminder(turns_at, after=NOON)

    assert found == (turns_at - expected * DAY if expected else None)
