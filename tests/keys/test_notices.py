from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.keys.commands import Use, note_use, revoke_key
from portal.keys.models import ApiKey
from portal.keys.notices import tell_all
from tests.support.clocks import START

DAY = timedelta(days=1)


@pytest.fixture
def told(sessions, outbox):
    """Run the job; who has been mailed of ends so far, oldest first."""

    def run():
        tell_all(sessions, url="http://portal")
        mails = [mail for mail in outbox() if " ends on " in mail.subject]
        return [mail.to for mail in reversed(mails)]

    return run


def test_owners_and_whoever_issued_it_are_told_30_7_and_1_days_before_once_each(
    clock, issue, cast, told, outbox
):
    issue(name="Soon over", by=cast.ben, expires_at=START + 40 * DAY)
    counts = [len(told())]

    for days in (10, 13, 10, 6, 1, 2):
        clock.advance(days=days)
        counts += [len(told()), len(told())]

    assert counts == [0, 2, 2, 2, 2, 4, 4, 6, 6, 6, 6, 6, 6]
    assert set(told()) == {cast.ada.email, cast.ben.email}
    assert "ends at 2026-" in outbox()[0].text


def test_a_key_whose_life_is_short_is_told_of_only_what_lies_ahead(clock, issue, told):
    issue(expires_at=START + 5 * DAY)
    counts = [len(told())]
    clock.advance(days=4)
    counts.append(len(told()))

    assert counts == [0, 1]


def test_who_comes_late_tells_once_and_of_a_revoked_key_nobody_is_told(
    clock, issue, sessions, cast, told
):
    issue(expires_at=START + 40 * DAY)
    gone = issue(expires_at=START + 40 * DAY).key
    with sessions() as session, transaction(session):
        row = session.get_one(ApiKey, gone.id)
        revoke_key(session, actor=cast.ada.actor, key=row, reason="Over.")

    clock.advance(days=39, hours=12)

    assert len(told()) == 1


def test_of_a_rotated_key_the_mail_says_that_the_old_secret_is_still_used(
    clock, as_ada, key, sessions, told, outbox
):
    form = as_ada.get(f"/orgs/acme/keys/{key.id}/rotate").form("rotate")
    form.fill(grace_seconds=str(3 * 86_400)).submit()
    clock.advance(days=2)
    with sessions() as session, transaction(session):
        note_use(session, [Use(key.id, clock.at, "gw-1")])

    told()

    (mail,) = [mail for mail in outbox() if " ends on " in mail.subject]
    assert "old secret of the rotated key “Billing”" in mail.text
    assert f"last used at {clock.at:%Y-%m-%d %H:%M} UTC" in mail.text


def test_a_pass_without_anything_due_writes_nothing(issue, sessions, count_queries, told):
    issue(expires_at=START + 40 * DAY)

    with count_queries() as queries:
        tell_all(sessions, url="http://portal")

    assert not [each for each in queries.statements if each.startswith(("INSERT", "UPDATE"))]
