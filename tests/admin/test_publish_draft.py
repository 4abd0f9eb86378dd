import threading

import pytest

from portal.changelog.models import ChangeDraft
from tests.admin.changing import QUOTA, make_draft, save
from tests.support.change_files import CELL, change_file, in_days, unix

pytestmark = pytest.mark.usefixtures("cast", "clock")


@pytest.fixture
def draft(sessions, cast):
    """A lawful cut on day 40."""
    return make_draft(sessions, cast.root.actor, change_file(effective_at=in_days(40)))


@pytest.fixture
def question(as_root, draft):
    return lambda: as_root.get(f"/admin/changes/drafts/{draft}/publish").form("publish-form")


def test_the_question_says_what_will_happen(as_root, draft):
    page = as_root.get(f"/admin/changes/drafts/{draft}/publish")

    assert "Build · Sonnet 5 · requests per minute: 5,000 → 4,000" in page.text
    assert "It takes effect at 2026-12-12 12:00 UTC, at every gateway." in page.text


def test_a_published_draft_has_a_number_and_an_address(question, both_ways, log, journal, cast):
    page = question().submit(htmx=both_ways.is_htmx, redirect="/changelog/2")

    assert page.flash == "Change 2 is published and signed."
    assert log().history.changes[2].effective_at == unix(40)
    assert journal()[-1].actor_id == cast.root.user_id


def test_a_published_draft_leaves_the_list_and_is_not_published_twice(question, as_root, draft):
    form = question()
    form.submit(redirect="/changelog/2")

    again = form.submit(status=409)

    assert "published or discarded already" in again.text
    assert draft not in as_root.get("/admin/changes").html


def test_too_little_notice_is_refused_with_the_earliest_instant(
    as_root, both_ways, sessions, cast, log
):
    draft = make_draft(sessions, cast.root.actor, change_file(effective_at=in_days(10)))
    form = as_root.get(f"/admin/changes/drafts/{draft}/publish").form("publish-form")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "the earliest effective time is 2026-12-02 12:00 UTC" in page.text
    assert log().size == 2


BAD = {
    "empty diff": (change_file(5000), "changes nothing"),
    "unknown tier": (change_file(rows=[{**CELL, "tier": "gold", "quota": 1}]), "no tier gold"),
    "unknown model": (change_file(rows=[{**CELL, "model": "gpt", "quota": 1}]), "no model gpt"),
    "unknown metric": (change_file(rows=[{**CELL, "metric": "x", "quota": 1}]), "metric"),
    "the past": (change_file(6000, effective_at=in_days(-1)), "past"),
    "no reason": (change_file(6000, reason=""), "reason"),
    "a raise without an end": (change_file(6000, **{"class": "temporary_raise"}), "when it ends"),
    "an emergency over 72 h": (
        change_file(**{"class": "emergency_cut", "expires_at": in_days(4)}),
        "72 hours",
    ),
}


@pytest.mark.parametrize(("content", "text"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_unlawful_is_refused_by_the_page_as_by_the_command(
    as_root, both_ways, sessions, cast, log, counts, content, text
):
    draft, before = make_draft(sessions, cast.root.actor, content), None
    form = as_root.get(f"/admin/changes/drafts/{draft}/publish").form("publish-form")
    before = counts()

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert text in page.text
    assert counts() == before


def test_a_stale_draft_says_what_moved_and_is_published_once_saved_anew(
    as_root, draft, publish, question, clock, log
):
    publish(change_file(6000))
    refused = question().submit(status=422)
    page = as_root.get(f"/admin/changes/drafts/{draft}")

    save(page.form("draft-form"), redirect=f"/admin/changes/drafts/{draft}")

    moved = "Build · Sonnet 5 · requests per minute: 5,000 → 6,000"
    assert moved in refused.text
    assert moved in page.text
    assert "stale" not in as_root.get(f"/admin/changes/drafts/{draft}").text
    question().submit(redirect="/changelog/3")
    assert log().policy(unix(40)).limits


def test_a_draft_that_was_open_while_another_change_came_stays_stale(
    as_root, draft, publish, sessions
):
    """The editor was rendered before the other change: what its author saw is not what is."""
    form = as_root.get(f"/admin/changes/drafts/{draft}").form("draft-form")
    publish(change_file(6000))

    page = save(form.fill(title="Still a cut"), redirect=f"/admin/changes/drafts/{draft}")

    assert "The draft is stale" in page.text


def test_an_announced_change_that_came_into_force_makes_a_draft_stale(
    as_root, sessions, cast, publish, clock
):
    publish(change_file(6000, effective_at=in_days(5)))
    draft = make_draft(sessions, cast.root.actor, change_file(7000))
    clock.advance(days=6)

    page = as_root.get(f"/admin/changes/drafts/{draft}")

    assert "5,000 → 6,000" in page.text
    assert "The draft is stale" in page.text


def test_a_draft_that_touches_other_limits_is_not_stale(as_root, draft, publish):
    publish(change_file(rows=[{**CELL, "model": "opus-5", "quota": 6000}]))

    assert "stale" not in as_root.get(f"/admin/changes/drafts/{draft}").text


def test_what_was_touched_is_told_by_what_its_author_saw(as_root, sessions, cast, publish):
    """An untouched input of a stale editor must not undo the change that came meanwhile."""
    draft = make_draft(sessions, cast.root.actor, change_file(rows=[]))
    form = as_root.get(f"/admin/changes/drafts/{draft}").form("draft-form")
    publish(change_file(6000))

    save(form.fill(title="Nothing yet"), redirect=f"/admin/changes/drafts/{draft}")

    with sessions() as session:
        assert session.get_one(ChangeDraft, draft).content["rows"] == []
    assert as_root.get(f"/admin/changes/drafts/{draft}").form("draft-form").values[QUOTA] == [
        "6,000"
    ]


def test_of_two_who_publish_one_draft_one_is_told_so(app, cast, draft, log):
    """The draft's row is locked: a change is not announced twice."""
    app.config["WTF_CSRF_ENABLED"] = False
    statuses = []

    def publish():
        client = app.test_client()
        cast.sign_in(client, cast.root)
        statuses.append(client.post(f"/admin/changes/drafts/{draft}/publish").status_code)

    threads = [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [303, 409]
    assert max(log().history.changes) == 2


@pytest.mark.parametrize("who", ["ada", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_to_publish(
    visit, client, cast, draft, token, log, who
):
    cast.sign_in(client, getattr(cast, who))

    visit.get(f"/admin/changes/drafts/{draft}/publish", status=404)
    visit.post(f"/admin/changes/drafts/{draft}/publish", data={"csrf_token": token()}, status=404)

    assert log().size == 2
