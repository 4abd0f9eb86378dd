"""The notice policy and plain announcements, on the staff's pages."""

import pytest
from sqlalchemy import select

from portal.changelog.models import PlainAnnouncement
from tests.support.change_files import unix

pytestmark = pytest.mark.usefixtures("cast", "clock")

NOTICE, NEWS = "/admin/changes/notice", "/admin/announcements/new"
DAY = 86_400


@pytest.fixture
def news(sessions):
    """All announcements."""

    def read():
        with sessions() as session:
            return session.scalars(select(PlainAnnouncement)).all()

    return read


def test_the_notice_policy_is_changed_field_by_field(as_root, both_ways, log):
    form = as_root.get(NOTICE).form("act-form")
    form.fill(tightening_seconds="45", reason="We learnt.")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/changes")

    notice = log().history.notice_at(unix(0))
    assert page.flash == "The notice policy is published."
    assert (notice["tightening_seconds"], notice["retirement_seconds"]) == (45 * DAY, 90 * DAY)


BAD = {
    "weaker inside its own notice": ({"tightening_seconds": "14"}, "weakens the notice policy"),
    "nothing new": ({}, "nothing would change"),
    "no number": ({"tightening_seconds": "long"}, "whole number"),
    "below nothing": ({"delivery_percent": "-1"}, "0 or more"),
    "over all": ({"delivery_percent": "101"}, "100 or less"),
    "no reason": ({"tightening_seconds": "45", "reason": ""}, "Say why"),
}


@pytest.mark.parametrize(("values", "text"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_cannot_be_promised_is_refused(as_root, both_ways, counts, values, text):
    form = as_root.get(NOTICE).form("act-form").fill({"reason": "Why not.", **values})
    before = counts()

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert text in page.text
    assert counts() == before


def test_an_announcement_is_published_for_its_tiers(as_root, both_ways, news, journal):
    form = as_root.get(NEWS).form("act-form")
    form.fill(title="New docs", text="Read **them**.", tiers=["build"])

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/changes")

    assert page.flash == "“New docs” is published."
    assert [(each.title, each.tiers) for each in news()] == [("New docs", ["build"])]
    assert (journal()[-1].tag, journal()[-1].subject_id) == (
        "announcement:published",
        news()[0].id,
    )


@pytest.mark.parametrize("values", [{"title": ""}, {"text": " "}, {"title": "x" * 201}])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_news_is_named_and_not_published(as_root, both_ways, news, values):
    form = as_root.get(NEWS).form("act-form").fill({"title": "T", "text": "x", **values})

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == list(values)
    assert news() == []


def test_an_announcement_is_withdrawn_once(as_root, both_ways, news, clock):
    as_root.get(NEWS).form("act-form").fill(title="Oops", text="x").submit(
        redirect="/admin/changes"
    )
    form = as_root.get(f"/admin/announcements/{news()[0].id}/withdraw").form("act-form")

    form.submit(htmx=both_ways.is_htmx, redirect="/admin/changes")
    again = form.submit(htmx=both_ways.is_htmx, status=422)

    assert news()[0].withdrawn_at == clock.at
    assert "withdrawn already" in again.text


def test_an_announcement_that_is_not_there_is_not_there(as_root):
    as_root.get("/admin/announcements/ann_x/withdraw", status=404)


@pytest.mark.parametrize("address", [NOTICE, NEWS, "/admin/announcements/ann_x/withdraw"])
@pytest.mark.parametrize("who", ["ada", "dan"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, token, counts, address, who
):
    cast.sign_in(client, getattr(cast, who))
    data, before = {"csrf_token": token(), "reason": "x", "title": "x", "text": "x"}, counts()

    visit.get(address, status=404)
    visit.post(address, data=data, status=404)

    assert counts() == before
