from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import DatabaseError

from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.keys.models import ApiKey
from portal.orgs import members
from portal.orgs.models import Membership, Org, Role
from portal.orgs.people import get_member
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org
from tests.support.factories import add_member, make_key, make_user

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
MEMBERS = "/orgs/acme/members"


def of(person, act):
    return f"{MEMBERS}/{person.user_id}/{act}"


def told(outbox, subject):
    return sorted(mail.to for mail in outbox() if subject in mail.subject)


def test_the_page_says_who_belongs_to_it(as_ada, cast, invited):
    invited("eve@example.com")

    page = as_ada.get(MEMBERS)

    assert "Acme has 3 members, 1 owner among them." in page.text
    table = page.table("The members of Acme")
    assert [row["Role"] for row in table.rows] == ["owner", "developer", "viewer"]
    assert page.table("What a role may do").row("Issue keys")["Viewer"] == "— no"


@on_sqlite
def test_a_viewer_sees_who_belongs_to_it_and_not_who_is_invited(visit, client, cast, invited):
    invited("eve@example.com")
    cast.sign_in(client, cast.cleo)

    page = visit.get(MEMBERS)

    assert "cleo@example.com you" in page.text
    assert "eve@example.com" not in page.text
    assert "Change role" not in page.text


@on_sqlite
@pytest.mark.parametrize("count", [3, 40])
def test_the_page_asks_as_little_for_many_as_for_few(as_ada, cast, sessions, count_queries, count):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        for _ in range(count - 3):
            add_member(session, org=org, user=make_user(session), role=Role.VIEWER)

    with count_queries() as queries:
        as_ada.get(MEMBERS)

    assert len(queries) <= 10


def test_an_owner_changes_a_role(as_ada, both_ways, cast, roles, journal, outbox):
    form = as_ada.get(of(cast.ben, "role")).form("question").fill(role="manager")

    page = form.submit(htmx=both_ways.is_htmx, redirect=MEMBERS)

    assert page.flash == "ben@example.com: manager, from now on."
    assert roles()[cast.ben.user_id] == "manager"
    (event,) = [event for event in journal() if event.tag == "org:member:changed"]
    assert (event.told["was"], event.told["role"]) == ("developer", "manager")
    assert told(outbox, "Your role in Acme") == ["ben@example.com"]


@on_sqlite
@pytest.mark.parametrize("act", ["role", "hand-over", "remove"])
def test_acts_on_members_are_not_there_for_outsiders_nor_for_developers(visit, client, cast, act):
    client.application.config["WTF_CSRF_ENABLED"] = False
    for person, status in ((cast.dan, 404), (cast.ben, 403)):
        cast.sign_in(client, person)

        visit.get(of(cast.cleo, act), status=status)
        visit.post(of(cast.cleo, act), data={"role": "x"}, status=status)


@on_sqlite
@pytest.mark.parametrize("act", ["role", "hand-over", "remove"])
def test_somebody_elses_member_is_not_there(as_ada, cast, act):
    as_ada.get(of(cast.dan, act), status=404)


@on_sqlite
def test_a_role_that_is_none_changes_nothing(as_ada, both_ways, cast, roles):
    form = as_ada.get(of(cast.ben, "role")).form("question").fill(role="emperor")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert page.errors["role"]
    assert roles()[cast.ben.user_id] == "developer"


@on_sqlite
def test_changing_members_asks_again_who_it_is(as_ada, cast, clock, roles):
    clock.advance(minutes=16)
    form = as_ada.get(of(cast.ben, "role")).form("question").fill(role="viewer")

    form.submit(status=422)
    assert roles()[cast.ben.user_id] == "developer"

    form.fill(proof_password=cast.ada.password).submit(redirect=MEMBERS)
    assert roles()[cast.ben.user_id] == "viewer"


def test_a_manager_neither_makes_nor_unmakes_owners(visit, client, cast, member, roles):
    """Else the right to hand over, which managers lack, would be worth nothing."""
    client.application.config["WTF_CSRF_ENABLED"] = False
    member(cast.ben, Role.MANAGER)
    cast.sign_in(client, cast.ben)
    before = roles()

    visit.post(of(cast.ben, "role"), data={"role": "owner"}, status=422)
    visit.post(of(cast.ada, "role"), data={"role": "viewer"}, status=403)
    visit.post(of(cast.ada, "remove"), status=403)
    visit.post(of(cast.cleo, "hand-over"), status=403)

    assert roles() == before


@pytest.mark.parametrize("address", ["{ada}/role", "{ada}/remove", "leave"])
def test_the_last_owner_stays(as_ada, cast, roles, address):
    path = "/orgs/acme/leave" if address == "leave" else f"{MEMBERS}/{address}"
    form = as_ada.get(path.format(ada=cast.ada.user_id)).form("question")
    form.fill(role="viewer") if "role" in form.names else None

    page = form.submit(htmx=True, status=422)

    assert "at least one owner" in page.text
    assert roles()[cast.ada.user_id] == "owner"


@pytest.mark.parametrize("act", ["leave", "change", "remove"])
def test_two_last_owners_at_once_leave_one(sessions, cast, member, roles, act):
    """Each sees the other still there; the lock on the organisation lets one look after the other."""
    member(cast.ben, Role.OWNER)

    def go(person, other):
        try:
            with sessions() as session, transaction(session):
                org = get_org(
                    session, person.actor, "acme", needs=Permission.SEE_ORG, for_update=True
                )
                if act == "leave":
                    members.leave(session, actor=person.actor, org=org)
                    return
                found = get_member(session, org, other.user_id)
                if act == "remove":
                    members.remove_member(session, actor=person.actor, org=org, member=found)
                else:
                    members.change_role(
                        session, actor=person.actor, org=org, member=found, role=Role.VIEWER
                    )
        except PortalError as error:
            assert error.code in {"last_owner", "not_found", "forbidden"}  # noqa: PT017

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(go, (cast.ada, cast.ben), (cast.ben, cast.ada)))

    assert list(roles().values()).count("owner") == 1


@pytest.mark.parametrize("act", ["demote", "delete"])
def test_the_database_keeps_an_owner_too(sessions, cast, act):
    """What no command checked, such as a repair by hand, is refused as well."""
    with sessions() as session, pytest.raises(DatabaseError), transaction(session):  # noqa: PT012
        ada = session.get_one(Membership, (cast.acme.id, cast.ada.user_id))
        if act == "delete":
            session.delete(ada)
        else:
            ada.role = Role.VIEWER


def test_an_owner_hands_the_organisation_over(as_ada, both_ways, cast, roles, journal, outbox):
    form = as_ada.get(of(cast.ben, "hand-over")).form("question")

    page = form.submit(htmx=both_ways.is_htmx, redirect=MEMBERS)

    assert "Acme belongs to ben@example.com now" in page.flash
    assert (roles()[cast.ada.user_id], roles()[cast.ben.user_id]) == ("manager", "owner")
    assert [event.tag for event in journal()].count("org:ownership:handed_over") == 1
    assert told(outbox, "Acme is yours now") == ["ben@example.com"]
    form.submit(status=403)


@on_sqlite
def test_it_is_not_handed_over_to_an_owner(as_ada, cast, member, roles):
    form = as_ada.get(of(cast.ben, "hand-over")).form("question")
    member(cast.ben, Role.OWNER)

    page = form.submit(status=422)

    assert "an owner already" in page.text
    assert roles()[cast.ada.user_id] == "owner"


def test_a_removed_member_sees_nothing_any_more(
    as_ada, both_ways, cast, roles, client, outbox, journal
):
    form = as_ada.get(of(cast.ben, "remove")).form("question")

    page = form.submit(htmx=both_ways.is_htmx, redirect=MEMBERS)

    assert page.flash == "ben@example.com is no longer a member."
    assert cast.ben.user_id not in roles()
    assert told(outbox, "no longer a member of Acme") == ["ben@example.com"]
    assert [event.tag for event in journal()].count("org:member:removed") == 1
    cast.sign_in(client, cast.ben)
    as_ada.get("/orgs/acme", status=404)
    form.submit(status=404)


def test_their_keys_are_revoked_with_them_where_that_is_asked(as_ada, both_ways, cast, sessions):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        theirs = make_key(session, org=org, actor=cast.ben.actor).key.id
        others = make_key(session, org=org, actor=cast.ada.actor).key.id
    form = as_ada.get(of(cast.ben, "remove")).form("question").fill(revoke_keys=True)

    form.submit(htmx=both_ways.is_htmx, redirect=MEMBERS)

    with sessions() as session:
        reason = session.get_one(ApiKey, theirs).revoked_reason
        assert reason == "Who issued it was removed from the organisation."
        assert session.get_one(ApiKey, others).revoked_at is None


def test_a_viewer_leaves_and_the_owners_are_told(visit, both_ways, client, cast, roles, outbox):
    cast.sign_in(client, cast.cleo)
    form = visit.get("/orgs/acme/leave").form("question")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/")

    assert page.h1 == "No organisation"
    assert cast.cleo.user_id not in roles()
    assert told(outbox, "A member left Acme") == ["ada@example.com"]
    visit.get("/orgs/acme/leave", status=404)


@on_sqlite
@pytest.mark.parametrize("act", ["remove", "role", "leave"])
def test_invitations_end_with_the_right_to_send_them(visit, client, cast, member, invited, act):
    """Whoever is removed could else come back by an invitation to another address of theirs."""
    member(cast.ben, Role.MANAGER)
    _, token = invited("ben2@example.com", actor=cast.ben.actor)
    client.application.config["WTF_CSRF_ENABLED"] = False
    cast.sign_in(client, cast.ben if act == "leave" else cast.ada)
    path = "/orgs/acme/leave" if act == "leave" else of(cast.ben, act)

    visit.post(path, data={"role": "developer"}, redirect="/" if act == "leave" else MEMBERS)

    assert client.get(f"/invitations/{token}").status_code == 410


@on_sqlite
def test_the_commands_keep_the_table_too(sessions, cast):
    """Pages and commands ask the same table: what is called without a page is refused as well."""
    with sessions() as session:
        org = session.get_one(Org, cast.acme.id)
        cleo = get_member(session, org, cast.cleo.user_id)
        for act, more in (
            (members.change_role, {"role": Role.VIEWER}),
            (members.remove_member, {}),
            (members.hand_over, {}),
        ):
            with pytest.raises(PortalError) as refused:
                act(session, actor=cast.ben.actor, org=org, member=cleo, **more)
            assert refused.value.code == "forbidden"
