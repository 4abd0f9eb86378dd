"""What tests of writing changes share: the command line, the log and what must not be touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select

from portal.changelog.models import (
    Change,
    ChangeDraft,
    ChangeHold,
    ChangeWords,
    NoticeWords,
    PlainAnnouncement,
)
from portal.core.db import Base, Sessions
from portal.journal.models import Event
from portal.transparency.models import LogEntry
from portal.transparency.queries import SignedLog, signed_log
from tests.support.change_files import write

Run: TypeAlias = Callable[..., Result]


@pytest.fixture
def run(app: Flask, tmp_path: Path) -> Run:
    """Run a command; a dict among its arguments becomes a file."""

    def run(*args: object) -> Result:
        texts = [
            write(tmp_path / f"{index}.json", each) if isinstance(each, dict) else str(each)
            for index, each in enumerate(args)
        ]
        return app.test_cli_runner().invoke(args=texts)

    return run


@pytest.fixture
def publish(run: Run) -> Callable[[dict[str, Any]], int]:
    """Publish a change file that is lawful; its number."""

    def publish(content: dict[str, Any]) -> int:
        done = run("changes", "publish", content)
        assert done.exit_code == 0, done.output
        return int(done.stdout.splitlines()[-1])

    return publish


@pytest.fixture
def log(sessions: Sessions) -> Callable[[], SignedLog]:
    """The signed log as it is now."""

    def read() -> SignedLog:
        with sessions() as session:
            return signed_log(session)

    return read


@pytest.fixture
def counts(sessions: Sessions) -> Callable[[], list[int | None]]:
    """How many rows there are of all that writing a change writes."""
    tables: tuple[type[Base], ...] = (
        LogEntry,
        Change,
        ChangeWords,
        ChangeDraft,
        ChangeHold,
        NoticeWords,
        PlainAnnouncement,
        Event,
    )

    def counts() -> list[int | None]:
        with sessions() as session:
            return [session.scalar(select(func.count()).select_from(each)) for each in tables]

    return counts
