import hashlib

import pytest
from sqlalchemy import delete

from portal.changelog.commands import change_policy
from portal.changelog.models import NoticeWords
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.transparency.signer import log_transaction
from tests.support.change_files import unix

DAY = 86_400
PATH = "/changelog/notice"

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.fixture
def promise(sessions, settings):
    """Change the promise as staff do."""

    def promise(days, *, on_day=None):
        with (
            sessions() as session,
            log_transaction(session, sessions, settings=settings, actor=CLI),
        ):
            change_policy(
                session,
                actor=CLI,
                notice={"tightening_seconds": days * DAY},
                reason="You *asked* for it.",
                effective_at=None if on_day is None else unix(on_day),
            )

    return promise


def test_the_first_line_is_the_promise(visit):
    page = visit.get(PATH)

    assert page.all(".page-header-lead") == [
        (
            "You are told at least 30 days before a limit gets tighter, and 90 days before a model or"
            " tier goes away."
        )
    ]
    assert page.facts["Before a tightening or mixed change"] == "at least 30 days"
    assert page.facts["An emergency cut ends by itself"] == "within 72 hours"
    assert page.facts["An emergency cut is extended"] == "at most once"


def test_a_stronger_promise_holds_at_once(visit, promise):
    promise(45)

    page = visit.get(PATH)

    assert page.all(".page-header-lead")[0].startswith("You are told at least 45 days before")
    row = page.table("What changed in entry 2").rows[0]
    assert (row["Before"], row["After"]) == ("at least 30 days", "at least 45 days")
    assert page.all(".prose em") == ["asked"]
    assert page.link("entry 2") == "/log/entries?from=2&to=3"


def test_a_weaker_promise_is_announced_and_not_in_force(visit, promise, clock):
    promise(20, on_day=31)

    before = visit.get(PATH)
    clock.advance(days=31)
    after = visit.get(PATH)

    assert before.facts["Before a tightening or mixed change"] == "at least 30 days"
    assert "Another promise takes effect at 2026-12-03 12:00 UTC." in before.text
    assert after.facts["Before a tightening or mixed change"] == "at least 20 days"
    assert "Another promise" not in after.text


def test_a_lost_reason_is_said_to_be_lost(visit, promise, sessions):
    promise(45)
    with sessions() as session, transaction(session):
        session.execute(delete(NoticeWords))

    page = visit.get(PATH)

    assert hashlib.sha256(b"You *asked* for it.").hexdigest() in page.text
