"""The act of marking the changelog as read. Everyone who is signed in may; it touches their mark alone."""

import pytest
from sqlalchemy import select

from portal.changelog.models import ChangelogRead
from tests.support.change_files import change_file, in_days

PATH = "/changelog/read"


@pytest.fixture
def unread(client, cast, publish, clock):
    """Ada is signed in, and change 2 is unread."""
    clock.advance(minutes=5)
    publish(change_file(effective_at=in_days(40)))
    cast.sign_in(client, cast.ada)


@pytest.fixture
def marks(sessions):
    def read():
        with sessions() as session:
            return {each.user_id: each.read_at for each in session.scalars(select(ChangelogRead))}

    return read


def test_all_is_marked_as_read(visit, unread, cast, clock, marks, both_ways):
    form = visit.get("/changelog").form("Mark all as read")

    redirect = None if both_ways.is_htmx else "/changelog"
    page = form.submit(htmx=both_ways.is_htmx, redirect=redirect)

    assert page.flash == "All is marked as read."
    assert "Unread" not in page.text
    assert marks() == {cast.ada.user_id: clock.at}


def test_what_came_while_the_list_was_read_stays_unread(visit, unread, publish, clock):
    form = visit.get("/changelog").form("Mark all as read")
    clock.advance(seconds=1)
    publish(change_file(3000, title="Even fewer", effective_at=in_days(50)))

    page = form.submit(redirect="/changelog")

    assert page.all(".news-title")[:2] == [
        "Change 3: Even fewer Unread",
        "Change 2: Fewer requests",
    ]


def test_an_older_tab_does_not_take_back_what_was_read(visit, unread, publish, clock, marks, cast):
    older = visit.get("/changelog").form("Mark all as read")
    clock.advance(minutes=1)
    publish(change_file(3000, title="Even fewer", effective_at=in_days(50)))
    visit.get("/changelog").form("Mark all as read").submit(redirect="/changelog")

    older.submit(redirect="/changelog")

    assert marks() == {cast.ada.user_id: clock.at}


def test_nobody_reads_ahead_of_time(visit, unread, clock, marks, cast):
    form = visit.get("/changelog").form("Mark all as read")
    form.values["until"] = ["9" * 17]

    form.submit(redirect="/changelog")

    assert marks() == {cast.ada.user_id: clock.at}


def test_it_is_a_mark_of_ones_own(visit, unread, client, cast, marks):
    visit.get("/changelog").form("Mark all as read").submit(redirect="/changelog")

    cast.sign_in(client, cast.dan)

    assert "1 unread." in visit.get("/changelog").text
    assert list(marks()) == [cast.ada.user_id]


def test_whoever_is_not_signed_in_marks_nothing(app, client, catalog, marks):
    app.config["WTF_CSRF_ENABLED"] = False

    answer = client.post(PATH, data={"until": "1"})

    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/login")
    assert marks() == {}


@pytest.mark.parametrize("until", ["", "now", "-1", "1.5", "٣", "9" * 18])
def test_what_is_no_instant_changes_nothing(visit, unread, marks, both_ways, until):
    form = visit.get("/changelog").form("Mark all as read")
    form.values["until"] = [until]

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "The mark could not be set." in page.text
    assert marks() == {}
