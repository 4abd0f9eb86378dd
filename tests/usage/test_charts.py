"""Charts: geometry and words follow from the numbers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract.limits import Cell, Kind, Limit
from portal.usage.charts import BASE, SERIES_MAX, TOP, Slots, draw, fold, nice

HOUR = 3600
DAY = Slots(0, 24 * HOUR, HOUR)


def limit(quota, period=60, kind=Kind.BUCKET):
    cell = Cell("start", "m", "requests", kind, period)
    return Limit(cell, quota, quota if kind is Kind.BUCKET else None)


def chart(series, *limits):
    return draw(title="Requests", slots=DAY, series=series, limits=limits)


amounts = st.dictionaries(
    st.sampled_from("abc"),
    st.dictionaries(st.sampled_from(list(DAY.all)), st.integers(-50, 10**9)),
)


@given(amounts)
def test_columns_stand_on_the_ground_or_on_each_other_and_stay_inside(series):
    drawn = chart(series)

    for at in DAY.all:
        stack = [bar for line in drawn.lines for bar in line.bars if bar.x == DAY.x(at)]
        if stack:
            assert stack[0].y + stack[0].height == pytest.approx(BASE, abs=0.2)
        for below, above in pairwise(stack):
            assert above.y + above.height == pytest.approx(below.y, abs=0.2)
    bars = [bar for line in drawn.lines for bar in line.bars]
    assert all(TOP - 0.2 <= bar.y <= BASE and bar.height >= 0 for bar in bars)
    assert all(bar.x >= 0 and bar.x + DAY.width <= 100 for bar in bars)


@given(amounts)
def test_the_table_holds_every_number_also_those_less_than_nothing(series):
    drawn = chart(series)

    total = sum(sum(line.values()) for line in series.values())
    assert sum(row.total for row in drawn.rows) == total
    assert sum(line.total for line in drawn.lines) == total


@given(st.integers(0, 10**15))
def test_a_scale_is_never_below_what_stands_on_it_nor_twice_as_high(highest):
    assert max(highest, 1) <= nice(highest) <= max(2 * highest, 1)


def test_a_limit_is_drawn_where_use_comes_near_it_and_told_in_words_where_not():
    near, far = chart({"a": {0: 55_000}}, limit(1000)), chart({"a": {0: 600}}, limit(1000))

    assert near.ceiling.text == "limit 1,000 per minute: 60,000 per hour"
    assert (near.is_over, near.about_limit) == (False, None)
    assert far.ceiling is None
    assert far.about_limit.endswith("far above this scale: the highest column is 1 % of it.")


def test_a_crossed_limit_is_known_and_of_several_the_tightest_counts():
    drawn = chart({"a": {0: 61_000}}, limit(2000), limit(1000), limit(30_000, HOUR * 24))

    assert drawn.is_over
    assert drawn.ceiling.text.startswith("limit 1,000 per minute")


def test_what_no_column_can_be_held_against_is_not_drawn():
    drawn = chart({"a": {0: 5}}, limit(6, "month", Kind.WINDOW), limit(6, 7000))

    assert (drawn.ceiling, drawn.about_limit) == (None, None)


def test_many_lines_become_a_few_and_others():
    many = {str(number): {0: number, HOUR: 1} for number in range(1, 9)}

    few = fold(many, others="others")

    assert list(few) == ["8", "7", "6", "5", "4", "others (3)"]
    assert len(few) == SERIES_MAX + 1
    assert few["others (3)"] == {0: 6, HOUR: 3}
