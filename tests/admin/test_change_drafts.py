import pytest
from sqlalchemy import select

from portal.changelog.drafts import EMPTY
from portal.changelog.models import ChangeDraft
from tests.admin.changing import BURST, QUOTA, make_draft, save
from tests.support.change_files import change_file, in_days

pytestmark = pytest.mark.usefixtures("cast", "clock")


@pytest.fixture
def draft(sessions, cast):
    return make_draft(sessions, cast.root.actor)


@pytest.fixture
def content(sessions, draft):
    """The draft's content as it is saved."""

    def read():
        with sessions() as session:
            return session.get_one(ChangeDraft, draft).content

    return read


@pytest.fixture
def editor(as_root, draft):
    """The editor's form, as the page has it now."""
    return lambda: as_root.get(f"/admin/changes/drafts/{draft}").form("draft-form")


def test_a_draft_starts_on_the_table_as_it_is_published(as_root, both_ways, sessions, journal):
    form = as_root.get("/admin/changes/new").form("new-draft")
    headers = both_ways.headers

    as_root.client.post(form.action, data=form.values, headers=headers)

    with sessions() as session:
        draft = session.scalars(select(ChangeDraft)).one()
    assert (draft.content, draft.base_size) == (dict(EMPTY), 2)
    page = as_root.get(f"/admin/changes/drafts/{draft.id}")
    assert "The draft changes nothing yet." in page.text
    assert "It could not be published like this" not in page.text
    assert journal()[-1].tag == "draft:started"


def test_the_staff_begins_at_the_limits_table_and_nobody_else_sees_how(visit, client, cast):
    cast.sign_in(client, cast.ada)
    assert "Draft a change" not in visit.get("/limits").text
    cast.sign_in(client, cast.root)

    link = visit.get("/limits").link("Draft a change of this table")

    assert visit.get(link).form("new-draft").action == link


def test_the_inputs_hold_what_is_published_and_what_the_draft_says(editor):
    form = editor()

    assert form.values[QUOTA] == ["4,000"]
    assert form.values[BURST] == [""]
    assert form.values["quota:start.opus-5.requests.1m"] == ["1,000"]


def test_only_what_was_touched_becomes_part_of_the_draft(editor, draft, content):
    form = editor().fill({"quota:start.opus-5.requests.1m": "900", "title": "Two cuts"})

    save(form, redirect=f"/admin/changes/drafts/{draft}")

    rows = {(row["tier"], row["model"], row["quota"]) for row in content()["rows"]}
    assert rows == {("build", "sonnet-5", 4000), ("start", "opus-5", 900)}
    assert content()["title"] == "Two cuts"


def test_a_value_put_back_leaves_the_draft(editor, draft, content):
    save(editor().fill({QUOTA: "5000"}), redirect=f"/admin/changes/drafts/{draft}")

    assert content()["rows"] == []


def test_an_empty_limit_removes_it(editor, draft, content):
    save(editor().fill({QUOTA: ""}), redirect=f"/admin/changes/drafts/{draft}")

    assert [row["quota"] for row in content()["rows"]] == [None]


def test_limits_offers_and_terms_are_edited_in_one_form(editor, draft, content):
    form = editor().fill(
        {
            "add:0:tier": "build",
            "add:0:model": "*",
            "add:0:metric": "requests",
            "add:0:kind": "window",
            "add:0:period": "86400",
            "add:0:quota": "1,000,000",
            "offer:build:opus-5": "build/fable-5",
            "reserve:build:output_tokens": "8,192",
            "text:requests": "Each counts one.",
            "model:opus-5": "Opus Five",
            "tier:scale:keys_max": "100",
            "newmodel:0:slug": "opus-6",
            "newmodel:0:name": "Opus 6",
        }
    )

    save(form, redirect=f"/admin/changes/drafts/{draft}")

    saved = content()
    added = {"tier": "build", "model": "*", "metric": "requests", "kind": "window"}
    assert {**added, "period": 86400, "quota": 1_000_000} in saved["rows"]
    assert saved["offers"] == [
        {
            "tier": "build",
            "model": "opus-5",
            "offered": False,
            "replacement": {"tier": "build", "model": "fable-5"},
        }
    ]
    assert saved["counting"] == {
        "reserve": {"build": {"output_tokens": 8192}},
        "texts": {"requests": "Each counts one."},
    }
    assert saved["models"] == [
        {"slug": "opus-5", "name": "Opus Five"},
        {"slug": "opus-6", "name": "Opus 6"},
    ]
    assert [(tier["slug"], tier["keys_max"]) for tier in saved["tiers"]] == [("scale", 100)]


def test_what_was_saved_comes_back_into_the_inputs(editor, draft, content):
    form = editor().fill({"add:0:quota": "7", "newtier:0:slug": "gold", "newtier:0:rank": "9"})
    save(form, redirect=f"/admin/changes/drafts/{draft}")
    before = content()

    save(editor(), redirect=f"/admin/changes/drafts/{draft}")

    assert content() == before
    assert editor().values["newtier:0:slug"] == ["gold"]
    assert editor().values["offer:gold:opus-5"] == ["no"]


def test_beside_the_editor_stands_what_the_draft_would_do(editor, both_ways):
    form = editor().fill({QUOTA: "4,500", "effective_at": "2026-12-10T12:00"})

    page = form.submit(htmx=both_ways.is_htmx)

    assert page.is_fragment is both_ways.is_htmx
    assert "Build · Sonnet 5 · requests per minute: 5,000 → 4,500 (\u221210 %)" in page.text
    assert page.facts["Earliest lawful instant"] == ("2026-12-02 12:00 UTC, if it is published now")
    assert page.table("Build").row("Sonnet 5")["Direction"] == "Tightens"
    assert "This could be published now." in page.text


def test_the_refusal_stands_beside_the_editor_too(editor, both_ways):
    page = editor().submit(htmx=both_ways.is_htmx)

    assert "30 days' notice are promised; the earliest effective time is 2026-12-02" in page.text
    assert "This could be published now." not in page.text


def test_looking_saves_nothing(editor, content):
    before = content()

    editor().fill({QUOTA: "1"}).submit()

    assert content() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (QUOTA, "many"),
        (QUOTA, "-4"),
        (QUOTA, "4.5"),
        (BURST, "all"),
        ("add:0:quota", "x"),
        ("reserve:build:output_tokens", ""),
        ("effective_at", "tomorrow"),
        ("title", "x" * 201),
        ("base_size", "x"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_cannot_be_read_is_named_and_nothing_is_saved(
    editor, both_ways, content, field, value
):
    form, before = editor().fill({field: value}), content()

    looked = form.submit(htmx=both_ways.is_htmx, status=422)
    page = save(form, status=422)

    assert "Correct these first" in looked.text
    assert field in page.errors or field == "base_size"
    assert content() == before


def test_a_draft_is_read_as_readers_will_see_it(as_root, sessions, cast):
    content = change_file(reason="Because **of it**.", effective_at=in_days(31))
    draft = make_draft(sessions, cast.root.actor, content)

    page = as_root.get(f"/admin/changes/drafts/{draft}/preview")

    assert page.h1 == "Change 2: Fewer requests"
    assert "of it" in page.all(".prose strong")
    assert "From 2026-12-03 12:00 UTC" in page.text
    assert page.table("Build").row("Sonnet 5")["After"] == "4,000"


def test_an_unfinished_draft_can_be_previewed_too(as_root, sessions, cast):
    for content in ({}, change_file(effective_at="soon"), {**change_file(), "reason": ""}):
        draft = make_draft(sessions, cast.root.actor, content or None)

        assert as_root.get(f"/admin/changes/drafts/{draft}/preview").h1


def test_a_draft_is_discarded_and_leaves_the_list(as_root, both_ways, draft):
    form = as_root.get(f"/admin/changes/drafts/{draft}/discard").form("discard-form")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/changes")

    assert page.flash == "The draft is discarded."
    assert "Fewer requests" not in page.text
    as_root.get(f"/admin/changes/drafts/{draft}", status=409)


def test_drafting_is_journaled(editor, draft, journal):
    save(editor(), redirect=f"/admin/changes/drafts/{draft}")

    assert [event.tag for event in journal()][-2:] == ["draft:started", "draft:saved"]


@pytest.mark.parametrize("who", ["ada", "dan"])
def test_to_everyone_but_the_staff_there_are_no_drafts(visit, client, cast, draft, token, who):
    cast.sign_in(client, getattr(cast, who))
    data = {"csrf_token": token(), QUOTA: "x"}

    for address in ("/admin/changes", "/admin/changes/new", f"/admin/changes/drafts/{draft}"):
        visit.get(address, status=404)
    for act in ("", "/preview", "/publish", "/discard"):
        visit.post(f"/admin/changes/drafts/{draft}{act}", data=data, status=404)
