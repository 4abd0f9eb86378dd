"""Leaving and removing: what becomes of the keys that the person issued needs orgs and keys at once."""

from flask import Blueprint, Response, url_for
from wtforms import BooleanField

from portal.accounts.login import current_actor
from portal.console.queries import count_keys_of
from portal.core.actor import Actor
from portal.core.db import transaction
from portal.core.errors import Conflict
from portal.keys.commands import revoke_keys_of
from portal.orgs import members
from portal.orgs.asking import Question, ask, ask_again
from portal.orgs.forms import AskForm
from portal.orgs.models import Org
from portal.orgs.people import Member, get_member
from portal.orgs.policy import Permission, must_reach
from portal.orgs.queries import get_org, role_of
from portal.web import responses
from portal.web.session import session

bp = Blueprint("membership", __name__, url_prefix="/orgs/<org>")


class EndForm(AskForm):
    """Without the box where there is no key to revoke."""

    revoke_keys = BooleanField("", description="Programs that use them are refused from then on.")

    def offer(self, keys: int) -> "EndForm":
        """Say how many keys would be revoked."""
        if not keys:
            del self.revoke_keys
        else:
            what = "the key" if keys == 1 else f"all {keys:,} keys"
            self.revoke_keys.label.text = f"Revoke {what} issued by this person, too"
        return self

    @property
    def is_revoking(self) -> bool:
        return "revoke_keys" in self and bool(self.revoke_keys.data)


@bp.get("/members/<member>/remove")
def ask_remove(org: str, member: str) -> Response:
    found, row = _removable(current_actor(), org, member)
    return ask(_remove_question(found, row), _form(found, row))


@bp.post("/members/<member>/remove")
def remove_member(org: str, member: str) -> Response:
    form, actor = EndForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found, row = _removable(actor, org, member, for_update=True)
            if not form.offer(_keys_of(found, row)).validate():
                return ask_again(_remove_question(found, row), form)
            if form.is_revoking:
                _revoke_keys(
                    actor, found, row, reason="Who issued it was removed from the organisation."
                )
            members.remove_member(session(), actor=actor, org=found, member=row)
    except Conflict as error:
        form.refuse(error.public)
        return ask_again(_remove_question(*_removable(actor, org, member)), form)
    to = url_for("orgs.member_list", org=found.slug)
    return responses.done(to, message=f"{row.user.email} is no longer a member.")


@bp.get("/leave")
def ask_leave(org: str) -> Response:
    found, row = _own(current_actor(), org)
    return ask(_leave_question(found), _form(found, row))


@bp.post("/leave")
def leave(org: str) -> Response:
    form, actor = EndForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found, row = _own(actor, org, for_update=True)
            if not form.offer(_keys_of(found, row)).validate():
                return ask_again(_leave_question(found), form)
            if form.is_revoking:
                _revoke_keys(actor, found, row, reason="Who issued it left the organisation.")
            members.leave(session(), actor=actor, org=found)
    except Conflict as error:
        form.refuse(error.public)
        return ask_again(_leave_question(_own(actor, org)[0]), form)
    return responses.done("/", message=f"You are no longer a member of {found.name}.")


def _removable(
    actor: Actor, org: str, member: str, *, for_update: bool = False
) -> tuple[Org, Member]:
    needs = Permission.MANAGE_MEMBERS
    found = get_org(session(), actor, org, needs=needs, for_update=for_update)
    row = get_member(session(), found, member)
    must_reach(role_of(session(), actor, found.id), row.role)
    return found, row


def _own(actor: Actor, org: str, *, for_update: bool = False) -> tuple[Org, Member]:
    found = get_org(session(), actor, org, needs=Permission.SEE_ORG, for_update=for_update)
    return found, get_member(session(), found, actor.user_id)


def _keys_of(org: Org, member: Member) -> int:
    return count_keys_of(session(), org.id, user_id=member.user.id)


def _form(org: Org, member: Member) -> EndForm:
    return EndForm().offer(_keys_of(org, member))


def _revoke_keys(actor: Actor, org: Org, member: Member, *, reason: str) -> None:
    revoke_keys_of(session(), actor=actor, org=org, user_id=member.user.id, reason=reason)


def _remove_question(org: Org, member: Member) -> Question:
    return Question(
        title=f"Remove {member.user.email}",
        lead=f"They see nothing of {org.name} from then on. They and the owners are told by mail.",
        action=url_for("membership.remove_member", org=org.slug, member=member.user.id),
        button="Remove them",
        back=(url_for("orgs.member_list", org=org.slug), "Members"),
    )


def _leave_question(org: Org) -> Question:
    return Question(
        title=f"Leave {org.name}",
        lead="You see nothing of it from then on, until somebody invites you again.",
        action=url_for("membership.leave", org=org.slug),
        button="Leave it",
        back=(url_for("orgs.member_list", org=org.slug), "Members"),
    )
