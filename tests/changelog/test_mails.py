"""What readers are told of a change, and who is."""

import threading

import pytest

from portal.accounts.models import User
from portal.changelog import subscribers
from portal.core import outbox
from portal.core.db import transaction, wakeup_of
from portal.housekeeping import all_jobs
from tests.support.change_files import CELL, change_file, in_days
from tests.support.factories import make_org, make_user

pytestmark = pytest.mark.usefixtures("clock")

ADA, BEN, DAN = "ada@example.com", "ben@example.com", "dan@example.com"
LATER = {"effective_at": in_days(40)}


def first_line(mail):
    return mail.text.partition("\n")[0]


def test_a_portal_that_opens_mails_nobody(telling):
    assert telling.mails() == []


def test_the_owner_of_an_organisation_on_the_tier_is_told_what_it_means_for_it(telling, publish):
    publish(change_file(**LATER))

    (mail,) = telling.new().values()

    assert (mail.to, mail.event) == (ADA, "change:2:2")
    assert mail.subject == "Change 2: Fewer requests"
    assert first_line(mail) == (
        "From 2026-12-12 12:00 UTC, the limits of Acme (tier Build) get tighter."
    )
    assert "- Build · Sonnet 5 · requests per minute: 5,000 → 4,000 (\u221220 %)" in mail.text
    assert "Room for all." in mail.text
    assert "http://127.0.0.1:5000/limits?at=2026-12-12T12:00:00Z" in mail.text
    assert "http://127.0.0.1:5000/changelog/2\n" in mail.text


def test_an_owner_cannot_switch_it_off_and_is_told_why(telling, publish):
    telling.subscribe(telling.cast.ada, "build")
    publish(change_file(**LATER))

    (mail,) = telling.new().values()

    assert mail.unsubscribe_url is None
    assert "you own Acme (tier Build)" in mail.text
    assert "cannot be switched off" in mail.text
    assert "unsubscribe" not in mail.text


def test_a_subscriber_gets_the_same_with_a_link_that_ends_it(telling, publish, client):
    telling.subscribe(telling.cast.ben, "build")
    telling.subscribe(telling.cast.dan, None)
    publish(change_file(**LATER))

    told = telling.new()

    assert sorted(told) == [ADA, BEN, DAN]
    assert first_line(told[BEN]).endswith("the limits of the tier Build get tighter.")
    assert first_line(told[DAN]).endswith("the limits of every tier get tighter.")
    assert f"To end it:\n{told[BEN].unsubscribe_url}" in told[BEN].text
    path = told[BEN].unsubscribe_url.removeprefix("http://127.0.0.1:5000")
    assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    publish(change_file(3000, **LATER))
    assert sorted(telling.new()) == [ADA, DAN]


def test_whom_a_change_does_not_touch_is_left_alone(telling, publish):
    telling.subscribe(telling.cast.ben, "scale")
    publish(change_file(**LATER))

    assert list(telling.new()) == [ADA]


def test_an_address_that_nobody_confirmed_is_left_alone(telling, publish, sessions):
    with sessions() as session, transaction(session):
        session.get_one(User, telling.cast.ada.user_id).email_confirmed_at = None
    publish(change_file(**LATER))

    assert telling.new() == {}


def test_a_person_with_several_organisations_gets_one_mail_that_names_them(
    telling, publish, sessions
):
    with sessions() as session, transaction(session):
        make_org(session, name="Argo", owner=session.get_one(User, telling.cast.ada.user_id))
    rows = [{**CELL, "quota": 4000}, {**CELL, "tier": "start", "quota": 1500}]
    publish(change_file(**LATER, rows=rows))

    told = telling.new()

    assert first_line(told[ADA]) == (
        "From 2026-12-12 12:00 UTC, the limits of Acme (tier Build) and Argo (tier Start)"
        " change: some rise, some get tighter."
    )
    # Dan's Delta is on Start alone: for him it is a raise, and nothing of Build is his matter.
    assert first_line(told[DAN]).endswith("the limits of Delta (tier Start) rise.")
    assert "Build" not in told[DAN].text
    assert "and 1 line more" in told[DAN].text
    assert "You need do nothing." in told[DAN].text


def test_a_raise_at_once_says_since_when(telling, publish):
    publish(change_file(6000))

    (mail,) = telling.new().values()

    assert first_line(mail) == (
        "Since 2026-11-02 12:00 UTC, the limits of Acme (tier Build) are higher."
    )


def test_an_emergency_cut_says_that_it_is_one_and_when_it_ends(telling, publish):
    publish(change_file(**{"class": "emergency_cut", "expires_at": in_days(2)}))

    (mail,) = telling.new().values()

    assert "are tighter, until 2026-11-04 12:00 UTC. This is an emergency cut" in mail.text


def test_each_step_of_a_change_is_told_once(telling, publish, run):
    publish(change_file(**LATER))
    steps = [telling.new()[ADA]]
    for args in (
        ("hold", "2", "--reason", "Someone objects."),
        ("release", "2"),
        ("reschedule", "2", "--effective-at", in_days(60)),
        ("withdraw", "2", "--reason", "We found room."),
    ):
        done = run("changes", *args)
        assert done.exit_code == 0, done.output
        steps.append(telling.new()[ADA])

    assert telling.new() == {}
    assert [mail.event for mail in steps] == [f"change:2:{seq}" for seq in range(2, 7)]
    assert [first_line(mail) for mail in steps[1:]] == [
        (
            "What was to change for Acme (tier Build) on 2026-12-12 12:00 UTC is held: it takes no"
            " effect before it is released, and you will be told when."
        ),
        (
            "What was held takes effect after all: from 2026-12-12 12:00 UTC,"
            " the limits of Acme (tier Build) get tighter."
        ),
        (
            "From 2027-01-01 12:00 UTC, and not from 2026-12-12 12:00 UTC,"
            " the limits of Acme (tier Build) get tighter."
        ),
        (
            "What was to change from 2027-01-01 12:00 UTC is withdrawn:"
            " the limits of Acme (tier Build) stay."
        ),
    ]
    assert "Someone objects." in steps[1].text
    assert "We found room." in steps[4].text


def test_a_late_pass_tells_each_step_as_it_was(telling, publish, run):
    publish(change_file(**LATER))
    run("changes", "reschedule", "2", "--effective-at", in_days(60))
    run("changes", "withdraw", "2", "--reason", "We found room.")

    telling.run()

    announced, rescheduled, withdrawn = telling.mails()
    assert first_line(announced).startswith("From 2026-12-12 12:00 UTC, the limits")
    assert first_line(rescheduled).startswith("From 2027-01-01 12:00 UTC, and not from 2026-12-12")
    assert "is withdrawn" in first_line(withdrawn)


def test_other_spellings_of_the_same_words_are_told_to_nobody(telling, publish, run):
    publish(change_file(**LATER))
    telling.run()

    run("changes", "amend", "2", "--title", "Fewer Requests!", "--reason", "Room for all...")
    spelled = telling.new()
    run("changes", "amend", "2", "--title", "Fewer requests", "--reason", "The hall is full.")
    said = telling.new()

    assert spelled == {}
    assert said[ADA].subject == "Change 2 in other words: Fewer requests"
    assert "The hall is full." in said[ADA].text


def test_a_withdrawal_names_what_takes_its_place_and_a_hold_what_falls_with_it(
    telling, publish, run
):
    publish(change_file(**LATER))
    publish(change_file(3000, effective_at=in_days(50)))
    telling.run()

    run("changes", "hold", "2", "--reason", "Someone objects.")
    held = telling.new()[ADA]
    publish(change_file(4500, effective_at=in_days(40), replaces=[2]))
    telling.run()

    assert "Change 3, which stands on it, is held with it." in held.text
    withdrawn = next(mail for mail in telling.mails() if "is withdrawn" in mail.subject)
    assert "Change 4 takes its place" in withdrawn.text


def test_nothing_is_written_while_there_is_nothing_to_tell(
    telling, publish, sessions, count_queries
):
    publish(change_file(**LATER))
    telling.run()
    telling.check()
    commits = wakeup_of(sessions).count

    with count_queries() as queries:
        telling.run()
        telling.check()

    assert wakeup_of(sessions).count == commits
    assert len(queries) < 16  # of which each session's BEGIN is one


def test_an_entry_that_is_not_signed_is_told_to_nobody(telling, publish, monkeypatch):
    from portal.transparency import signer

    nothing = signer.SignOutcome(0, 0, None)
    with monkeypatch.context() as patch:
        patch.setattr(signer, "sign_new", lambda *_, **__: nothing)
        publish(change_file(**LATER))
        unsigned = telling.new()
    signer.sign_new(telling.sessions, telling.settings)

    assert unsigned == {}
    assert list(telling.new()) == [ADA]


def test_many_owners_are_told_in_batches_and_each_once_after_a_kill(
    telling, publish, sessions, monkeypatch
):
    with sessions() as session, transaction(session):
        for number in range(7):
            make_org(session, owner=make_user(session, email=f"p{number}@example.com"))
    monkeypatch.setattr(subscribers, "PEOPLE_AT_ONCE", 3)
    publish(change_file(4000, **LATER, rows=[{**CELL, "tier": "start", "quota": 900}]))
    kills = iter([None, RuntimeError("killed")])
    queue = outbox.queue_mails

    def dying(*args, **values):
        if error := next(kills, None):
            raise error
        queue(*args, **values)

    with monkeypatch.context() as patch:
        patch.setattr("portal.changelog.jobs.queue_mails", dying)
        with pytest.raises(AssertionError):
            telling.run()
    before = len(telling.mails())
    telling.run()

    told = [mail.to for mail in telling.mails()]
    assert 0 < before < 8
    assert len(told) == len(set(told)) == 8


def test_two_at_once_tell_each_person_once(telling, publish):
    publish(change_file(**LATER))
    passes = [threading.Thread(target=telling.run) for _ in range(4)]

    for each in passes:
        each.start()
    for each in passes:
        each.join(30)

    assert [mail.to for mail in telling.mails()] == [ADA]


def test_the_products_own_pass_tells_and_sends(telling, publish, sessions, settings):
    publish(change_file(**LATER))

    done = {job.name: job.run() for job in all_jobs(sessions, settings)}

    assert done["change mails"] == 1
    assert all(mail.sent_at for mail in telling.mails())
