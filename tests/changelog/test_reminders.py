"""Reminders before what is taken away, and at that instant."""

import pytest

from tests.support.change_files import change_file, in_days, unix

pytestmark = pytest.mark.usefixtures("clock")

ADA = "ada@example.com"
RAISE = {"class": "temporary_raise", "effective_at": in_days(1), "expires_at": in_days(20)}


@pytest.fixture
def events(telling):
    """Tell what is due, then say what was told so far, beside the entries themselves."""

    def read():
        telling.run()
        names = [mail.event.removeprefix("change:2:") for mail in telling.mails("change:2:")]
        return [name for name in names if not name.isdigit()]

    return read


def test_a_tightening_is_recalled_30_7_and_1_days_before_and_at_its_instant(
    telling, publish, clock, events
):
    publish(change_file(effective_at=in_days(40)))
    told = {}

    for day in range(42):
        if new := [name for name in events() if name not in told.values()]:
            (told[day],) = new
        clock.advance(days=1)

    at = unix(40)
    assert told == {
        10: f"30d:{at}",
        33: f"7d:{at}",
        39: f"1d:{at}",
        40: f"effective:{at}",
    }


def test_a_reminder_says_when_and_what(telling, publish, clock):
    publish(change_file(effective_at=in_days(40)))
    telling.run()

    clock.advance(days=33)
    reminder = telling.new()[ADA]
    clock.advance(days=7)
    effect = telling.new()[ADA]

    assert reminder.subject == "Change 2 in 7 days: Fewer requests"
    assert reminder.text.startswith(
        "In 7 days, from 2026-12-12 12:00 UTC, the limits of Acme (tier Build) get tighter.\n"
    )
    assert "requests per minute: 5,000 → 4,000" in reminder.text
    assert effect.subject == "Change 2 takes effect: Fewer requests"
    assert effect.text.startswith(
        "Since 2026-12-12 12:00 UTC, the limits of Acme (tier Build) are tighter.\n"
    )


def test_only_what_lies_ahead_at_publishing_is_recalled(publish, clock, events):
    publish(change_file(effective_at=in_days(30)))

    at_once = events()
    clock.advance(days=22, hours=23)
    before = events()
    clock.advance(hours=1)

    assert (at_once, before, events()) == ([], [], [f"7d:{unix(30)}"])


def test_what_lay_behind_at_publishing_is_not_made_up_for(telling, publish, clock, events):
    """For weeks there was nothing to recall; then a raise is published that ends in 12 days."""
    clock.advance(days=40)
    publish(change_file(6000, **{**RAISE, "effective_at": in_days(41), "expires_at": in_days(52)}))

    assert events() == []


def test_after_a_downtime_only_the_nearest_is_sent(publish, clock, events):
    publish(change_file(effective_at=in_days(40)))
    events()

    clock.advance(days=39, hours=5)
    nearest = events()
    clock.advance(days=300)

    assert nearest == [f"1d:{unix(40)}"]
    assert events() == [f"1d:{unix(40)}", f"effective:{unix(40)}"]


def test_what_is_held_or_withdrawn_is_not_recalled(publish, run, clock, events):
    publish(change_file(effective_at=in_days(40)))
    run("changes", "hold", "2", "--reason", "Someone objects.")

    clock.advance(days=35)
    held = events()
    run("changes", "withdraw", "2", "--reason", "No more.")
    clock.advance(days=10)

    assert (held, events()) == ([], [])


def test_a_new_date_has_reminders_of_its_own(publish, run, clock, events):
    publish(change_file(effective_at=in_days(40)))
    clock.advance(days=34)
    events()

    run("changes", "reschedule", "2", "--effective-at", in_days(70))
    events()
    clock.advance(days=30)

    assert events() == [f"7d:{unix(40)}", f"7d:{unix(70)}"]


def test_a_raise_is_not_recalled(publish, clock, events):
    publish(change_file(6000, effective_at=in_days(10)))
    events()

    clock.advance(days=20)

    assert events() == []


def test_the_end_of_a_temporary_raise_is_recalled(telling, publish, clock, events):
    publish(change_file(6000, **RAISE))
    events()

    clock.advance(days=13)
    before = telling.new()[ADA]
    clock.advance(days=7)
    at_end = telling.new()[ADA]

    assert [before.event, at_end.event] == [
        f"change:2:7d:{unix(20)}",
        f"change:2:effective:{unix(20)}",
    ]
    assert before.text.startswith(
        "In 7 days, at 2026-11-22 12:00 UTC, the temporary raise ends:"
        " the limits of Acme (tier Build) are then as they are without it.\n"
    )
    assert "What it raised:" in before.text
    assert at_end.text.startswith("The temporary raise has ended: since 2026-11-22 12:00 UTC")
    assert before.subject == "Change 2 ends in 7 days: Fewer requests"
    assert at_end.subject == "Change 2 has ended: Fewer requests"


def test_whoever_comes_onto_the_tier_later_is_reminded_too(telling, publish, clock):
    publish(change_file(effective_at=in_days(40)))
    telling.run()
    telling.move(telling.cast.delta, "build")
    telling.run()

    clock.advance(days=33)

    assert sorted(telling.new()) == [ADA, "dan@example.com"]
