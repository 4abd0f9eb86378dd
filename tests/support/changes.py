"""What tests of writing changes share: the command line, the log and what must not be touched."""

import pytest
from sqlalchemy import func, select

from portal.changelog.models import (
    Change,
    ChangeDraft,
    ChangeHold,
    ChangeWords,
    NoticeWords,
    PlainAnnouncement,
)
from portal.journal.models import Event
from portal.transparency.models import LogEntry
from portal.transparency.queries import signed_log
from tests.support.change_files import write


@pytest.fixture
def run(app, tmp_path):
    """Run a command; a dict among its arguments becomes a file."""

    def run(*args):
        texts = [
            write(tmp_path / f"{index}.json", each) if isinstance(each, dict) else str(each)
            for index, each in enumerate(args)
        ]
        return app.test_cli_runner().invoke(args=texts)

    return run


@pytest.fixture
def publish(run):
    """Publish a change file that is lawful; its number."""

    def publish(content):
        done = run("changes", "publish", content)
        assert done.exit_code == 0, done.output
        return int(done.stdout.splitlines()[-1])

    return publish


@pytest.fixture
def log(sessions):
    """The signed log as it is now."""

    def read():
        with sessions() as session:
            return signed_log(session)

    return read


@pytest.fixture
def counts(sessions):
    """How many rows there are of all that writing a change writes."""
    tables = (
        LogEntry,
        Change,
        ChangeWords,
        ChangeDraft,
        ChangeHold,
        NoticeWords,
        PlainAnnouncement,
        Event,
    )

    def counts():
        with sessions() as session:
            return [session.scalar(select(func.count()).select_from(each)) for each in tables]

    return counts
