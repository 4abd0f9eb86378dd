from datetime import UTC, datetime, timedelta

import pytest

from plimsoll.contract.terms import REQUIREMENTS
from portal.core.durations import lasting, median_of
from portal.upgrades.models import State
from portal.upgrades.policy import (
    CAME_BY,
    STEPS,
    WITHOUT_DATA,
    Act,
    Facts,
    check,
    due_at,
    leads_to,
    may,
)

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)  # a Monday
CLOSED = {State.APPROVED, State.DECLINED, State.WITHDRAWN}


def facts(**values):
    given = {"created_at": NOW, "is_confirmed": False, "owners": 1, "owners_with_factor": 0}
    return Facts(**given | {"active_days": 0} | values)


def line(name, wanted, **values):
    (found,) = check({name: wanted}, facts(**values), NOW)
    return found.is_met, found.progress


@pytest.mark.parametrize(
    ("age", "met", "progress"),
    [
        (timedelta(0), False, "0 of 7 days old"),
        (timedelta(days=5, hours=23), False, "5 of 7 days old"),
        (timedelta(days=7, seconds=-1), False, "6 of 7 days old"),
        (timedelta(days=7), True, "7 of 7 days old"),
        (timedelta(days=90), True, "7 of 7 days old"),
        (timedelta(days=-1), False, "0 of 7 days old"),
    ],
)
def test_whole_days_count(age, met, progress):
    assert line("account_age_days", 7, created_at=NOW - age) == (met, progress)


@pytest.mark.parametrize(
    ("owners", "having", "met", "progress"),
    [
        (1, 0, False, "not yet"),
        (1, 1, True, "done"),
        (2, 1, False, "not yet: 1 of 2 owners have one"),
        (2, 2, True, "done"),
        (0, 0, False, "not yet: 0 of 0 owners have one"),
    ],
)
def test_every_owner_has_a_second_factor(owners, having, met, progress):
    assert line("second_factor", 1, owners=owners, owners_with_factor=having) == (met, progress)


def test_every_known_requirement_has_a_line_and_what_is_not_asked_for_has_none():
    asked = {name: kind(1) for name, kind in REQUIREMENTS.items()}

    assert [each.name for each in check(asked, facts(), NOW)] == list(REQUIREMENTS)
    assert check({name: kind(0) for name, kind in REQUIREMENTS.items()}, facts(), NOW) == []


def test_what_has_no_data_is_not_met_and_says_why():
    found = check(dict.fromkeys(WITHOUT_DATA, 1), facts(), NOW)

    assert [(each.is_met, each.has_data) for each in found] == [(False, False)]
    assert "no payment is known" in found[0].progress


@pytest.mark.parametrize(
    ("days", "met", "progress"),
    [(0, False, "on 0 of 7 days"), (6, False, "on 6 of 7 days"), (9, True, "on 7 of 7 days")],
)
def test_days_of_use_are_counted(days, met, progress):
    assert line("active_days", 7, active_days=days) == (met, progress)


def test_the_table_of_states_names_every_act_and_state():
    assert set(STEPS) == set(Act)
    assert set(CAME_BY) == set(State)
    assert {leads_to(act) for act in Act} | {State.SUBMITTED} == set(State)


def test_nothing_can_be_done_with_what_is_closed():
    assert not [(act, state) for act in Act for state in CLOSED if may(act, state)]


def test_every_open_state_leads_to_an_end_and_can_be_withdrawn():
    for state in set(State) - CLOSED:
        assert may(Act.WITHDRAW, state)
        assert any(may(act, state) for act in set(Act) - {Act.WITHDRAW})


@pytest.mark.parametrize(
    ("sent", "due"),
    [
        ("2026-11-02T12:00", "2026-11-05T12:00"),  # Monday → Thursday
        ("2026-11-04T12:00", "2026-11-09T12:00"),  # Wednesday → Monday
        ("2026-11-06T23:59", "2026-11-11T23:59"),  # Friday → Wednesday
        ("2026-11-07T10:00", "2026-11-12T00:00"),  # Saturday, counted from Monday → Thursday
        ("2026-11-08T10:00", "2026-11-12T00:00"),
    ],
)
def test_the_target_is_three_working_days(sent, due):
    sent, due = (datetime.fromisoformat(f"{each}+00:00") for each in (sent, due))

    assert due_at(sent) == due


@pytest.mark.parametrize(
    ("hours", "median"), [([], None), ([5], 5), ([1, 9], 5), ([9, 1, 2], 2), ([1, 2, 4, 100], 3)]
)
def test_the_median(hours, median):
    found = median_of([timedelta(hours=each) for each in hours])

    assert found == (None if median is None else timedelta(hours=median))


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=35, seconds=59), "35 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=23, minutes=59), "23 hours 59 minutes"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=2, hours=4, minutes=50), "2 days 4 hours"),
    ],
)
def test_how_long_something_took(duration, text):
    assert lasting(duration) == text
