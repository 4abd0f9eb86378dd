"""What readers are told after a backup was restored and the log recovered: what they know, not again."""

import pytest

from tests.support.change_files import change_file, in_days
from tests.transparency.conftest import Log

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.fixture
def restore(sessions, settings):
    """A backup from before the last entry is restored, with no word of what was mailed since."""

    def restore(*, size):
        log = Log(sessions, settings)
        log.lose_the_last_entry()
        log.by_sql("DELETE FROM mails")
        log.by_sql("UPDATE mail_progress SET size = :size, reminded_until = 0", size=size)
        return log

    return restore


@pytest.mark.parametrize(("hours", "again"), [(23, ["ada@example.com"]), (25, [])])
def test_what_was_said_more_than_a_day_ago_is_not_said_again(
    telling, publish, restore, clock, hours, again
):
    """A mail of the last day may never have left; twice is better than not at all."""
    publish(change_file(effective_at=in_days(40)))
    assert list(telling.new()) == ["ada@example.com"]
    restored = restore(size=2)
    clock.advance(hours=hours)

    restored.recover()

    assert list(telling.new()) == again


def test_reminders_from_before_the_last_entry_are_not_sent_again(
    telling, publish, restore, run, clock
):
    publish(change_file(effective_at=in_days(40)))
    clock.advance(days=10)
    assert list(telling.new()) == ["ada@example.com"]
    clock.advance(hours=1)
    run("changes", "amend", "2", "--title", "Other words", "--reason", "Said otherwise.")
    restored = restore(size=3)
    clock.advance(days=2)

    restored.recover()

    assert telling.new() == {}
