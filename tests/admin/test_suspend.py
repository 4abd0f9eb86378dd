import pytest

pytestmark = pytest.mark.usefixtures("cast", "clock")

ADDRESS = "/admin/orgs/acme/suspend"


def test_the_staff_suspends_with_a_reason(as_root, both_ways, acme, clock, record):
    form = as_root.get(ADDRESS).form("suspend-form").fill(reason="Unpaid since May.")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/orgs/acme")

    assert page.flash == "Acme is suspended. Its keys are refused."
    assert "Unpaid since May." in page.text
    assert (acme().suspended_at, acme().suspended_reason) == (clock.at, "Unpaid since May.")
    assert '"state":"suspended"' in record()


def test_the_question_opens_in_the_dialog_as_a_fragment(as_root):
    page = as_root.get(ADDRESS, htmx=True)

    assert page.is_fragment
    assert page.form("suspend-form").action == ADDRESS


def test_the_owners_are_told_and_read_it_on_their_first_page(as_root, outbox, cast, client):
    as_root.get(ADDRESS).form("suspend-form").fill(reason="Unpaid.").submit(
        redirect="/admin/orgs/acme"
    )
    cast.sign_in(client, cast.ada)

    home = as_root.get("/")

    assert (outbox()[0].to, outbox()[0].subject) == (cast.ada.email, "Acme is suspended")
    assert "Acme is suspended" in home.text
    assert "Unpaid." in home.text


def test_the_journal_says_who_and_why(as_root, journal, cast):
    as_root.get(ADDRESS).form("suspend-form").fill(reason="Unpaid.").submit(
        redirect="/admin/orgs/acme"
    )

    event = journal()[-1]

    assert (event.tag, event.actor_id, event.details) == (
        "org:suspended",
        cast.root.user_id,
        {"reason": "Unpaid."},
    )


def test_what_is_suspended_is_not_suspended_again(as_root, both_ways, acme, outbox):
    form = as_root.get(ADDRESS).form("suspend-form")
    form.fill(reason="First.").submit(redirect="/admin/orgs/acme")

    page = form.fill(reason="Second.").submit(htmx=both_ways.is_htmx, status=422)

    assert "suspended already" in page.text
    assert acme().suspended_reason == "First."
    assert len(outbox()) == 1


@pytest.mark.parametrize("who", ["ada", "ben", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(visit, client, cast, token, acme, who):
    cast.sign_in(client, getattr(cast, who))
    data = {"csrf_token": token(), "reason": "Mine."}

    visit.get(ADDRESS, status=404)
    visit.post(ADDRESS, data=data, status=404)
    visit.post(ADDRESS, data={"csrf_token": data["csrf_token"]}, status=404)

    assert acme().suspended_at is None


@pytest.mark.parametrize("reason", ["", " \r\n ", "x" * 501, "a\x07b"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_changes_nothing(as_root, both_ways, acme, reason):
    form = as_root.get(ADDRESS).form("suspend-form").fill(reason=reason)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["reason"]
    assert acme().suspended_at is None
