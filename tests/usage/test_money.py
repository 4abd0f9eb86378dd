"""Money as the meter says it: never less used, never more left, than the gates count."""

import pytest

from portal.usage.shown import said, taken

SPEND = "spend_microusd"


@pytest.mark.parametrize(
    ("microusd", "used", "left"),
    [
        (1_000_000_000, "$1,000", "$1,000"),
        (618_487_235, "$618.49", "$618.48"),
        (618_480_000, "$618.48", "$618.48"),
        (1, "$0.01", "1 microdollars"),
        (0, "$0", "$0"),
    ],
)
def test_money_is_said_in_cents(microusd, used, left):
    assert (taken(SPEND, microusd), said(SPEND, microusd)) == (used, left)
