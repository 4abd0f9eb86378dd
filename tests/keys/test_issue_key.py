import re
import threading

import pytest
from sqlalchemy import select

from plimsoll.contract.tokens import looks_like, secret_digest
from portal.accounts.models import User
from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.keys.commands import KeyRequest, issue_key, revoke_key
from portal.keys.models import ApiKey
from portal.orgs.queries import get_org_as_admin
from tests.support.clocks import START

NEW = "/orgs/acme/keys/new"


@pytest.fixture
def stored(sessions):
    def read():
        with sessions() as session:
            return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)))

    return read


def secret_on(page):
    return page.one("#secret").get_text()


def test_a_key_is_issued_and_its_secret_shown_with_a_ready_call(as_ada, both_ways, stored):
    form = as_ada.get(NEW).form("new_key").fill(name="Billing")

    page = form.submit(htmx=both_ways.is_htmx)

    secret = secret_on(page)
    assert looks_like(secret, "plim_live_")
    assert secret in page.one("#try-it").get_text()
    assert page.headers["Cache-Control"] == "no-store"
    assert [key.digest for key in stored()] == [secret_digest(secret)]


def test_only_the_digest_of_a_secret_is_kept(as_ada, sessions, stored, journal, outbox):
    secret = secret_on(as_ada.get(NEW).form("new_key").fill(name="Billing").submit())

    (key,) = stored()
    kept = [str(vars(row)) for row in (key, *journal(), *outbox())]
    assert all(secret not in text for text in kept)
    assert (key.prefix, key.last_four) == (secret[:14], secret[-4:])
    assert secret not in as_ada.get("/orgs/acme/keys").html


def test_issuing_leaves_one_line_in_the_journal(as_ada, journal, cast):
    as_ada.get(NEW).form("new_key").fill(name="Billing").submit()

    (event,) = [event for event in journal() if event.tag == "org:key:issued"]
    assert (event.actor_id, event.org_id, event.ip) == (cast.ada.user_id, cast.acme.id, "127.0.0.1")
    assert event.details["name"] == "Billing"


def test_an_outsider_finds_nothing(visit, client, cast, stored):
    cast.sign_in(client, cast.dan)

    visit.get(NEW, status=404)
    form = visit.get("/orgs/delta/keys/new").form("new_key").fill(name="Billing")
    form.tag["action"] = "/orgs/acme/keys"
    form.submit(status=404)

    assert stored() == []


def test_a_viewer_may_not_issue(visit, client, cast, stored):
    cast.sign_in(client, cast.cleo)

    visit.get(NEW, status=403)
    token = visit.get("/orgs/acme/keys").soup.select_one("[name=csrf_token]")["value"]
    visit.post("/orgs/acme/keys", data={"csrf_token": token, "name": "x"}, status=403)

    assert stored() == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Enter a name."),
        ("name", "   ", "Use 1 to 80 characters."),
        ("name", "x" * 81, "1 to 80"),
        ("name", "bell\x07", "Control characters"),
        ("name", "eilla\u202e", "direction marks"),
        ("expires_at", "soon", "such as"),
        ("expires_at", "2020-01-01T00:00", "past"),
        ("expires_at", "2030-01-01T00:00:00.5", "whole seconds"),
        ("expires_at", "2030-01-01", "a date and a time"),
        ("networks", "not a network", "One network a line"),
        ("networks", "10.0.0.0/33", "One network a line"),
        ("environment", "staging", "choice"),
        ("models", ["gpt"], "choice"),
    ],
)
def test_bad_input_is_said_beside_its_field_and_nothing_is_issued(
    as_ada, both_ways, stored, field, value, said
):
    form = as_ada.get(NEW).form("new_key").fill(name="Billing").fill({field: value})

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert said in page.errors[field]
    assert stored() == []


def test_a_name_is_taken_in_whatever_case(as_ada, both_ways, issue, stored):
    issue(name="Straße 🚢")

    form = as_ada.get(NEW).form("new_key").fill(name="STRASSE 🚢")
    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["name"] == "A key that is not revoked has this name already."
    assert len(stored()) == 1


def test_a_long_name_may_grow_when_it_is_folded(as_ada, stored):
    """Each of these becomes three characters without its case, which PostgreSQL counts."""
    as_ada.get(NEW).form("new_key").fill(name="ΐ" * 80).submit()

    assert [key.name for key in stored()] == ["ΐ" * 80]


def test_scope_and_expiry_are_kept_as_asked(as_ada, stored):
    form = as_ada.get(NEW).form("new_key")
    form.fill(name="Narrow", environment="test", expires_at="2031-01-02T03:04")
    form.fill(models=["sonnet-5", "opus-5"], networks="203.0.113.7\r\n2001:db8::/32\r\n")

    secret = secret_on(form.submit())

    (key,) = stored()
    assert secret.startswith("plim_test_")
    assert key.models == ["opus-5", "sonnet-5"]
    assert key.networks == ["2001:db8::/32", "203.0.113.7/32"]
    assert key.expires_at.isoformat() == "2031-01-02T03:04:00+00:00"


def test_an_expiry_with_an_offset_is_read_as_that_instant(as_ada, stored):
    form = as_ada.get(NEW).form("new_key").fill(name="X", expires_at="2031-01-02T03:04:00+01:00")

    form.submit()

    assert stored()[0].expires_at.isoformat() == "2031-01-02T02:04:00+00:00"


def test_the_tiers_maximum_is_kept_and_a_revoked_key_makes_room(clock, as_ada, issue, stored):
    for _ in range(25):
        issue()

    form = as_ada.get(NEW).form("new_key").fill(name="One more")
    page = form.submit(status=422)

    assert "Your tier allows 25 live keys" in page.text
    assert len(stored()) == 25


def test_an_expired_key_does_not_count_against_the_maximum(clock, issue, stored):
    for _ in range(25):
        issue(expires_at=START.replace(year=2027))

    clock.set(START.replace(year=2027))
    issue()

    assert len(stored()) == 26


def test_two_people_cannot_pass_the_maximum_together(sessions, cast, issue, stored):
    """Each locks the organisation first, so that one sees the other's key."""
    for _ in range(24):
        issue()

    def act(name):
        with sessions() as session, transaction(session):
            org = get_org_as_admin(session, cast.root.actor, "acme", for_update=True)
            request = KeyRequest(name=name)
            try:
                issue_key(session, actor=cast.ada.actor, org=org, brand="plim", request=request)
            except PortalError as error:
                refused.append(error.code)
                session.rollback()

    refused: list[str] = []
    pair = [threading.Thread(target=act, args=(name,)) for name in ("a", "b")]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()

    assert refused == ["keys_max_reached"]
    assert len(stored()) == 25


def test_keys_wait_for_a_confirmed_address(sessions, as_ada, both_ways, cast, stored):
    with sessions() as session, transaction(session):
        session.get_one(User, cast.ada.user_id).email_confirmed_at = None

    form = as_ada.get(NEW).form("new_key").fill(name="Early")
    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "Confirm your e-mail address first" in page.text
    assert stored() == []


def test_a_reload_cannot_mint_a_second_key(as_ada, stored):
    form = as_ada.get(NEW).form("new_key").fill(name="Billing")
    form.submit()

    form.submit(status=422)

    assert len(stored()) == 1


def test_a_form_without_its_token_is_refused(as_ada, stored):
    as_ada.post("/orgs/acme/keys", data={"name": "Billing"}, status=400)

    assert stored() == []


def test_a_secrets_text_never_appears_in_its_repr(issue):
    made = issue()

    assert made.secret.text not in repr(made)
    assert re.search(r"plim_live_", repr(made.secret))


def test_the_name_is_free_again_after_revoking(sessions, cast, issue):
    key = issue(name="Billing").key
    with sessions() as session, transaction(session):
        row = session.get_one(ApiKey, key.id, with_for_update=True)
        revoke_key(session, actor=cast.ada.actor, key=row, reason="Lost.")

    assert issue(name="billing").key.id != key.id
