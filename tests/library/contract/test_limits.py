"""Names, periods and values of limits."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract.limits import (
    ANCHOR_SECONDS,
    Cell,
    InvalidField,
    Kind,
    Limit,
    is_slug,
    month_bounds,
    parse_row,
    period_name,
    period_seconds,
)
from tests.library.contract.samples import row

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@pytest.mark.parametrize(
    ("period", "name"),
    [
        (60, "1m"),
        (90, "90s"),
        (3600, "1h"),
        (18_000, "5h"),
        (86_400, "1d"),
        (604_800, "1w"),
        (2_592_000, "30d"),
        ("month", "month"),
        (None, "now"),
    ],
)
def test_a_period_is_named_in_its_largest_whole_unit(period, name):
    assert period_name(period) == name


@given(st.integers(1, 2**40))
def test_no_larger_unit_divides_a_named_period(period):
    count, unit = int(period_name(period)[:-1]), UNITS[period_name(period)[-1]]

    assert count * unit == period
    assert not any(period % size == 0 for size in UNITS.values() if size > unit)


def test_a_limit_is_named_by_tier_model_metric_and_period():
    cell = Cell("build", "sonnet-5", "input_tokens", Kind.BUCKET, 60)
    shared = Cell("start", "*", "spend_microusd", Kind.WINDOW, "month")

    assert cell.name == "build.sonnet-5.input_tokens.1m"
    assert shared.name == "start.all.spend_microusd.month"


def test_limits_of_single_models_stand_before_shared_ones():
    shared = Cell("start", "*", "requests", Kind.BUCKET, 60)
    single = Cell("start", "zeta", "requests", Kind.BUCKET, 3600)

    assert sorted([shared, single]) == [single, shared]


@pytest.mark.parametrize("slug", ["a", "haiku-4.5", "a" * 40])
def test_slugs_may_hold_dots_and_hyphens_inside(slug):
    assert is_slug(slug)


@pytest.mark.parametrize("text", ["", "-a", "a.", "A", "a_b", "a" * 41, "a\n", "*", 5, None])
def test_everything_else_is_no_slug(text):
    assert not is_slug(text)


def test_an_absent_burst_of_a_bucket_is_its_quota():
    cell, limit = parse_row(row(quota=7), "rows[0]")

    assert limit == Limit(cell, 7, 7)


def test_concurrency_has_no_period_and_stands_first_in_its_tier():
    together = row(metric="concurrent_requests", kind="concurrency", period=None, quota=5)

    cell, limit = parse_row(together, "rows[0]")

    assert (cell.name, limit.burst) == ("start.sonnet-5.concurrent_requests.now", None)
    assert min(cell, parse_row(row(), "rows[1]")[0]) == cell


def test_a_quota_of_null_means_no_limit():
    assert parse_row(row(quota=None), "rows[0]")[1] is None


def test_quota_zero_with_burst_zero_means_never():
    assert parse_row(row(quota=0, burst=0), "rows[0]")[1].quota == 0


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"quota": -1}, "quota"),
        ({"quota": True}, "quota"),
        ({"quota": 1.0}, "quota"),
        ({"quota": "5"}, "quota"),
        ({"quota": 2**53}, "quota"),
        ({"quota": 2**53 // 60_000 + 1}, "quota"),
        ({"burst": 2**53 // 60_000 + 1}, "burst"),
        ({"burst": 0}, "burst"),
        ({"burst": 5, "quota": 0}, "burst"),
        ({"burst": False, "quota": 0}, "burst"),
        ({"kind": "window", "burst": 5}, "burst"),
        ({"kind": "sliding"}, "kind"),
        ({"kind": ["bucket"]}, "kind"),
        ({"kind": "concurrency", "period": None}, "kind"),
        ({"metric": "concurrent_requests"}, "kind"),
        ({"metric": "wishes"}, "metric"),
        ({"period": 0}, "period"),
        ({"period": True}, "period"),
        ({"period": None}, "period"),
        ({"period": "month"}, "period"),
        ({"period": "week"}, "period"),
        ({"kind": "concurrency", "metric": "concurrent_requests"}, "period"),
        ({"tier": "Start"}, "tier"),
        ({"model": ""}, "model"),
        ({"model": {}}, "model"),
        ({"from": None}, "from"),
    ],
)
def test_a_row_is_refused_with_the_path_of_its_field(fields, path):
    with pytest.raises(InvalidField) as refused:
        parse_row(row(**fields), "rows[3]")

    assert refused.value.path == f"rows[3].{path}"


def test_the_largest_exact_quota_is_accepted():
    assert parse_row(row(quota=2**53 // 60_000), "rows[0]")[1].quota == 150_119_987_579


def test_a_missing_field_is_named():
    spoiled = row()
    del spoiled["metric"]

    with pytest.raises(InvalidField, match=r"rows\[3\].metric: is missing"):
        parse_row(spoiled, "rows[3]")


def test_a_grant_raises_quota_and_burst_separately_and_never_lowers():
    limit = Limit(Cell("start", "*", "requests", Kind.BUCKET, 60), 100, 50)

    assert limit.raised(quota=80, burst=70) == Limit(limit.cell, 100, 70)
    assert limit.raised(quota=200, burst=None) == Limit(limit.cell, 200, 200)


def test_a_cap_lowers_quota_and_burst_separately_and_never_raises():
    limit = Limit(Cell("start", "*", "requests", Kind.BUCKET, 60), 100, 50)

    assert limit.lowered(quota=80, burst=70) == Limit(limit.cell, 80, 50)
    assert limit.lowered(quota=20, burst=None) == Limit(limit.cell, 20, 20)


def test_a_grant_on_a_window_has_no_burst():
    limit = Limit(Cell("start", "*", "requests", Kind.WINDOW, 60), 100)

    assert limit.raised(quota=200, burst=None) == Limit(limit.cell, 200)


def test_the_anchor_of_windows_is_a_monday():
    assert datetime.fromtimestamp(ANCHOR_SECONDS, UTC) == datetime(1970, 1, 5, tzinfo=UTC)
    assert datetime(1970, 1, 5, tzinfo=UTC).weekday() == 0


def test_a_month_reaches_from_its_first_instant_to_the_next_months():
    december = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)

    start, end = month_bounds(int(december.timestamp()))

    assert datetime.fromtimestamp(start, UTC) == datetime(2026, 12, 1, tzinfo=UTC)
    assert datetime.fromtimestamp(end, UTC) == datetime(2027, 1, 1, tzinfo=UTC)


def test_the_length_of_a_month_is_that_of_the_month_asked_for():
    leap = int(datetime(2028, 2, 10, tzinfo=UTC).timestamp())

    assert period_seconds("month", leap) == 29 * 86_400
    assert period_seconds(60, leap) == 60
