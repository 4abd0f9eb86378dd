import pytest

from portal.keys.models import ApiKey


@pytest.fixture
def key(issue):
    return issue(name="Billing").key


@pytest.fixture
def now(sessions, key):
    def read():
        with sessions() as session:
            return session.get_one(ApiKey, key.id)

    return read


def ask(key):
    return f"/orgs/acme/keys/{key.id}/revoke"


def test_a_key_is_revoked_with_its_reason(as_ada, both_ways, key, now, cast):
    form = as_ada.get(ask(key)).form("revoke").fill(reason="It leaked.")

    page = form.submit(htmx=both_ways.is_htmx, redirect=f"/orgs/acme/keys/{key.id}")

    assert page.flash == "“Billing” is revoked."
    assert "refuse it, for ever" in page.text
    assert page.facts["Reason"] == "It leaked."
    assert now().revoked_by == cast.ada.user_id


def test_revoking_leaves_one_line_in_the_journal_however_often(as_ada, key, journal):
    form = as_ada.get(ask(key)).form("revoke").fill(reason="It leaked.")

    for _ in range(2):
        form.submit(redirect=f"/orgs/acme/keys/{key.id}")

    (event,) = [event for event in journal() if event.tag == "org:key:revoked"]
    assert event.details["reason"] == "It leaked."


def test_a_second_revocation_changes_nothing(as_ada, key, now):
    form = as_ada.get(ask(key)).form("revoke")
    form.fill(reason="First.").submit(redirect=f"/orgs/acme/keys/{key.id}")
    first = now().revoked_at

    form.fill(reason="Second.").submit(redirect=f"/orgs/acme/keys/{key.id}")

    assert (now().revoked_at, now().revoked_reason) == (first, "First.")


def test_an_outsider_finds_nothing_whatever_the_form_holds(visit, client, cast, key, now):
    cast.sign_in(client, cast.dan)
    token = visit.get("/orgs/delta/keys").soup.select_one("[name=csrf_token]")["value"]

    visit.get(ask(key), status=404)
    visit.post(ask(key), data={"csrf_token": token}, status=404)
    visit.get(f"/orgs/delta/keys/{key.id}/revoke", status=404)
    visit.post(
        f"/orgs/delta/keys/{key.id}/revoke",
        data={"csrf_token": token, "reason": "Mine now."},
        status=404,
    )

    assert now().revoked_at is None


def test_a_viewer_may_not_revoke(visit, client, cast, key, now):
    cast.sign_in(client, cast.cleo)
    page = visit.get(f"/orgs/acme/keys/{key.id}")
    token = page.soup.select_one("[name=csrf_token]")["value"]

    visit.get(ask(key), status=403)
    visit.post(ask(key), data={"csrf_token": token, "reason": "x"}, status=403)

    assert "Revoke" not in page.main.get_text()
    assert now().revoked_at is None


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "bell\x07", "\u202etxt"])
def test_bad_input_is_said_beside_the_field_and_nothing_is_revoked(
    as_ada, both_ways, key, now, reason
):
    form = as_ada.get(ask(key)).form("revoke").fill(reason=reason)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["reason"]
    assert now().revoked_at is None


def test_the_question_opens_as_a_fragment_too(as_ada, key):
    fragment = as_ada.get(ask(key), htmx=True)

    assert fragment.is_fragment
    assert fragment.form("revoke").action == ask(key)


def test_signed_out_the_way_leads_to_sign_in(visit, key):
    visit.get(ask(key), redirect=f"/login?next=/orgs/acme/keys/{key.id}/revoke")
