"""Every page of an organisation for every role: what the table of permissions says is what is answered.

The cells come from `app.url_map` and `ALLOWED`; only which permission a page asks for is said here, once
more than in the code, so that one of the two being wrong is noticed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.orgs.models import Org, Role
from portal.orgs.policy import Permission, may
from tests.support.factories import (
    add_member,
    make_invitation,
    make_key,
    make_org_token,
    make_request,
    make_user,
)

NEEDS = {
    "console.org": Permission.SEE_ORG,
    "console.org_slash": Permission.SEE_ORG,
    "invitations.ask_resend": Permission.MANAGE_MEMBERS,
    "invitations.ask_revoke": Permission.MANAGE_MEMBERS,
    "invitations.invite": Permission.MANAGE_MEMBERS,
    "invitations.new_invitation": Permission.MANAGE_MEMBERS,
    "invitations.resend": Permission.MANAGE_MEMBERS,
    "invitations.revoke": Permission.MANAGE_MEMBERS,
    "journal.export": Permission.SEE_JOURNAL,
    "journal.journal": Permission.SEE_JOURNAL,
    "key_acts.confirm_pause": Permission.PAUSE_KEY,
    "key_acts.confirm_resume": Permission.PAUSE_KEY,
    "key_acts.confirm_rotate": Permission.ROTATE_KEY,
    "key_acts.new_name": Permission.EDIT_KEY,
    "key_acts.pause_key": Permission.PAUSE_KEY,
    "key_acts.rename_key": Permission.EDIT_KEY,
    "key_acts.resume_key": Permission.PAUSE_KEY,
    "key_acts.rotate": Permission.ROTATE_KEY,
    "key_caps.key_caps": Permission.EDIT_KEY,
    "key_caps.remove_cap": Permission.EDIT_KEY,
    "key_caps.set_cap": Permission.EDIT_KEY,
    "key_page.key": Permission.SEE_KEYS,
    "key_rules.change_rules": Permission.MANAGE_ORG,
    "key_rules.rules": Permission.MANAGE_ORG,
    "keys.confirm_revoke": Permission.REVOKE_KEY,
    "keys.issue_key": Permission.ISSUE_KEY,
    "keys.keys": Permission.SEE_KEYS,
    "keys.new_key": Permission.ISSUE_KEY,
    "keys.revoke_key": Permission.REVOKE_KEY,
    # Everybody may leave.
    "membership.ask_leave": Permission.SEE_ORG,
    "membership.ask_remove": Permission.MANAGE_MEMBERS,
    "membership.leave": Permission.SEE_ORG,
    "membership.remove_member": Permission.MANAGE_MEMBERS,
    "orgs.ask_hand_over": Permission.HAND_OVER,
    "orgs.ask_role": Permission.MANAGE_MEMBERS,
    "orgs.change_role": Permission.MANAGE_MEMBERS,
    "orgs.hand_over": Permission.HAND_OVER,
    "orgs.member_list": Permission.SEE_ORG,
    "orgs.move_org": Permission.MANAGE_ORG,
    "orgs.org_settings": Permission.MANAGE_ORG,
    "orgs.rename_org": Permission.MANAGE_ORG,
    "org_tokens.confirm_revoke": Permission.MANAGE_TOKENS,
    "org_tokens.issue_token": Permission.MANAGE_TOKENS,
    "org_tokens.new_token": Permission.MANAGE_TOKENS,
    "org_tokens.revoke_token": Permission.MANAGE_TOKENS,
    "org_tokens.tokens": Permission.MANAGE_TOKENS,
    "upgrades.answer": Permission.REQUEST_UPGRADE,
    "upgrades.confirm_withdraw": Permission.REQUEST_UPGRADE,
    "upgrades.new_request": Permission.REQUEST_UPGRADE,
    "upgrades.request": Permission.SEE_ORG,
    "upgrades.submit_request": Permission.REQUEST_UPGRADE,
    "upgrades.tier": Permission.SEE_ORG,
    "upgrades.withdraw": Permission.REQUEST_UPGRADE,
    "usage.export": Permission.SEE_USAGE,
    "usage.usage": Permission.SEE_USAGE,
    "usage_warnings.change_alerts": Permission.MANAGE_ALERTS,
    "usage_warnings.warnings": Permission.SEE_USAGE,
}
SIGNED_OUT, FOREIGN = "signed out", "foreign"
# A page, a redirect to one, a form sent back, an act whose state is over: all but the refusals below.
ALLOWED = {200, 204, 303, 409, 410, 418, 422}


class Kept(PortalError):
    """The act was allowed, and got as far as its commit. Nothing of it stays, so that no cell spoils another."""

    status = 418


def keep(session: object) -> None:
    if session.info.get("flushed"):  # type: ignore[attr-defined]
        raise Kept


@dataclass(frozen=True)
class Cell:
    endpoint: str
    method: str
    path: str
    who: str

    @property
    def expected(self) -> set[int]:
        if self.who == SIGNED_OUT:
            return {401}
        if self.who == FOREIGN:
            return {404}
        # Without a line nothing is right: the page is found by this test, too.
        needs = NEEDS.get(self.endpoint)
        if needs is None:
            return set()
        return ALLOWED if may(Role(self.who), needs) else {403}


@pytest.fixture
def values(sessions, cast) -> dict[str, str]:
    """What the addresses name: things of Acme, each in the state that its pages are about."""
    with sessions() as session, transaction(session):
        acme = session.get_one(Org, cast.acme.id)
        member = make_user(session)
        add_member(session, org=acme, user=member, role=Role.VIEWER)
        invitation, _ = make_invitation(session, org=acme)
        return {
            "org": acme.slug,
            "key": make_key(session, org=acme).key.id,
            "member": member.id,
            "token": make_org_token(session, org=acme).token.id,
            "invitation": invitation,
            "request": make_request(session, org=acme, staff=cast.root.actor).id,
            "tier": "scale",
            "suffix": "csv",
        }


@pytest.fixture
def people(app, sessions, cast) -> dict[str, FlaskClient]:
    """A browser for each role, one of an outsider, and one in which nobody is signed in."""
    with sessions() as session, transaction(session):
        manager = make_user(session)
        add_member(session, org=session.get_one(Org, cast.acme.id), user=manager, role=Role.MANAGER)
    person = type(cast.ada)(manager.id, manager.email, is_admin=False)
    roles = {"owner": cast.ada, "manager": person, "developer": cast.ben, "viewer": cast.cleo}
    clients = {who: app.test_client() for who in (*roles, FOREIGN, SIGNED_OUT)}
    for who, found in (*roles.items(), (FOREIGN, cast.dan)):
        cast.sign_in(clients[who], found)
    return clients


def cells(app: Flask, values: dict[str, str]) -> Iterator[Cell]:
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/orgs/<org>"):
            continue
        path = str(adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments}))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            for who in (*(role.value for role in Role), FOREIGN, SIGNED_OUT):
                yield Cell(rule.endpoint, method, path, who)


def token_of(client: FlaskClient) -> str:
    """What the forms of this browser carry."""
    page = client.get("/login", follow_redirects=True).get_data(as_text=True)
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def answer(client: FlaskClient, cell: Cell, token: str) -> int:
    data = {"csrf_token": token} if cell.method == "POST" else None
    # Refusals as JSON: their pages, made three hundred times, would cost more than all the rest.
    accept = {"Accept": "application/json"}
    response = client.open(cell.path, method=cell.method, data=data, headers=accept, buffered=True)
    to_sign_in = response.location and response.location.startswith("/login")
    return 401 if to_sign_in else response.status_code


def wrong(app: Flask, people: dict[str, FlaskClient], values: dict[str, str]) -> list[str]:
    """The cells that are answered otherwise than the table says."""
    tokens = {who: token_of(client) for who, client in people.items()}
    found = []
    for cell in cells(app, values):
        status = answer(people[cell.who], cell, tokens[cell.who])
        if status not in cell.expected:
            found.append(f"{cell.method} {cell.path} ({cell.endpoint}), {cell.who}: {status}")
    return found


@pytest.mark.parametrize(
    "database",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)],
    indirect=True,
)
@pytest.mark.usefixtures("clock")
def test_every_role_is_answered_as_the_table_says(app, sessions, values, people):
    event.listen(sessions, "before_commit", keep)

    found = wrong(app, people, values)

    assert not found, "\n".join(found)


on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@on_sqlite
def test_every_page_of_an_organisation_has_its_line(app):
    endpoints = {
        rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith("/orgs/<org>")
    }

    assert endpoints == set(NEEDS)


@on_sqlite
def test_a_page_that_asks_for_too_little_or_too_much_is_found(app, values, people):
    """The matrix sees a view that answers everybody, and one that answers nobody."""
    few = {"orgs.member_list": "/members", "orgs.org_settings": "/settings"}
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint in few]
    app.url_map.iter_rules = lambda: iter(rules)  # type: ignore[method-assign]
    app.view_functions["orgs.org_settings"] = lambda org: org

    def nobody(org: str) -> str:
        raise PortalError

    app.view_functions["orgs.member_list"] = nobody

    found = "\n".join(wrong(app, people, values))

    assert "(orgs.org_settings), viewer: 200" in found
    assert "(orgs.org_settings), foreign: 200" in found
    assert "(orgs.member_list), owner: 500" in found
