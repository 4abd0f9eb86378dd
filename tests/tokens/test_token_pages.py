"""Issuing and revoking tokens: a person's own, and an organisation's."""

from datetime import UTC, datetime, timedelta

import pytest

from plimsoll.contract.tokens import looks_like, secret_digest
from portal.accounts.models import User
from portal.core.db import transaction
from portal.orgs.models import Role
from tests.support.factories import PASSWORD

MINE = "/account/tokens"
ACMES = "/orgs/acme/tokens"
SCOPES = ["keys:read", "keys:write"]


@pytest.fixture
def as_ada(visit, client, cast):
    cast.sign_in(client, cast.ada)
    return visit


@pytest.mark.parametrize(("pages", "prefix"), [(MINE, "plimpat_"), (ACMES, "plimoat_")])
def test_a_token_is_issued_and_its_secret_shown_once(as_ada, both_ways, stored, pages, prefix):
    form = as_ada.get(f"{pages}/new").form("new_token").fill(name="Deploy", scopes=SCOPES)

    page = form.submit(htmx=both_ways.is_htmx)

    secret, (token,) = page.one("#secret").get_text(), stored()
    assert looks_like(secret, prefix)
    assert secret in page.one("#try-it").get_text()
    assert page.headers["Cache-Control"] == "no-store"
    assert (token.digest, token.scopes) == (secret_digest(secret), SCOPES)
    assert token.role == (Role.DEVELOPER if pages == ACMES else None)
    assert token.expires_at - datetime.now(UTC) > timedelta(days=89)
    listed = as_ada.get(pages).html
    assert token.prefix in listed
    assert secret not in listed


@pytest.mark.parametrize("pages", [MINE, ACMES])
def test_a_revoked_token_leaves_the_list_and_stays_in_the_journal(
    as_ada, both_ways, stored, journal, pages
):
    as_ada.get(f"{pages}/new").form("new_token").fill(name="Deploy", scopes=SCOPES).submit()
    (token,) = stored()
    form = as_ada.get(f"{pages}/{token.id}/revoke").form("revoke")

    page = form.submit(redirect=pages, htmx=both_ways.is_htmx)

    assert "“Deploy” is revoked." in page.html
    assert token.prefix not in page.html
    assert stored()[0].revoked_at
    told = [event for event in journal() if ":token:" in event.tag]
    whose = "org" if pages == ACMES else "user"
    assert [event.tag for event in told] == [f"{whose}:token:issued", f"{whose}:token:revoked"]
    assert all(event.details["name"] == "Deploy" for event in told)


@pytest.mark.parametrize("pages", [MINE, ACMES])
def test_before_the_address_is_confirmed_no_token_is_issued(
    as_ada, both_ways, stored, sessions, cast, pages
):
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).email_confirmed_at = None
    form = as_ada.get(f"{pages}/new").form("new_token").fill(name="Deploy", scopes=SCOPES)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "Confirm your e-mail address first" in page.text
    assert stored() == []


BAD = [
    ("name", "", "Enter a name."),
    ("name", "deploy", "A token that is not revoked has this name already."),
    ("scopes", [], "Tick at least one."),
    ("expires_at", "2020-01-01T00:00", "This instant is past."),
]


@pytest.mark.parametrize("pages", [MINE, ACMES])
def test_bad_input_issues_nothing(as_ada, both_ways, stored, pages):
    as_ada.get(f"{pages}/new").form("new_token").fill(name="Deploy", scopes=SCOPES).submit()

    for field, value, said in BAD:
        filled = {"name": "Other", "scopes": SCOPES} | {field: value}
        form = as_ada.get(f"{pages}/new").form("new_token").fill(**filled)
        page = form.submit(htmx=both_ways.is_htmx, status=422)
        assert said in page.one(f"#{field}-error").get_text()

    assert len(stored()) == 1


@pytest.mark.parametrize("pages", [MINE, ACMES])
def test_issuing_asks_for_a_fresh_proof(clock, as_ada, stored, pages):
    clock.advance(minutes=15)
    form = as_ada.get(f"{pages}/new").form("new_token").fill(name="Deploy", scopes=SCOPES)

    form.submit(status=422)

    assert stored() == []
    form.fill(proof_password=PASSWORD).submit()
    assert len(stored()) == 1


def test_no_token_owns_an_organisation(as_ada, stored):
    form = as_ada.get(f"{ACMES}/new").form("new_token").fill(name="Deploy", scopes=SCOPES)
    form.tag.select_one("[name=role][value=manager]")["value"] = "owner"

    form.fill(role="owner").submit(status=422)

    assert stored() == []


def test_nobody_revokes_anothers_token(visit, client, cast, token_of, token_of_org, stored):
    token_of(cast.ada)
    token_of_org(cast.acme)
    mine, acmes = stored()
    for person, status in ((cast.dan, 404), (cast.cleo, 403), (cast.ben, 403)):
        cast.sign_in(client, person)
        csrf = {
            "csrf_token": visit.get("/account/tokens").soup.select_one("[name=csrf_token]")["value"]
        }

        visit.get(f"{MINE}/{mine.id}/revoke", status=404)
        visit.post(f"{MINE}/{mine.id}/revoke", data=csrf, status=404)
        visit.get(f"{MINE}/{acmes.id}/revoke", status=404)
        visit.post(f"{ACMES}/{acmes.id}/revoke", data=csrf, status=status)
        visit.post(ACMES, data=csrf, status=status)

    assert not any(token.revoked_at for token in stored())
    assert len(stored()) == 2


def test_one_kind_of_page_never_reaches_the_other_kind_of_token(as_ada, cast, token_of, stored):
    token_of(cast.ada)
    (mine,) = stored()

    as_ada.get(f"{ACMES}/{mine.id}/revoke", status=404)


def test_with_an_account_its_tokens_end_and_those_of_the_organisation_that_closes(
    visit, client, cast, token_of, token_of_org, stored, journal
):
    token_of(cast.dan)
    token_of_org(cast.delta)
    cast.sign_in(client, cast.dan)

    visit.get("/account/delete").form("delete-account").submit(redirect="/")

    assert all(token.revoked_at for token in stored())
    assert "org:token:revoked" in {event.tag for event in journal()}
