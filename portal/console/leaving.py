"""Deleting one's account: it touches organisations, keys, subscriptions and the account at once."""

from typing import Any

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from portal.accounts import login
from portal.accounts.confirm import ProofForm
from portal.accounts.leaving import delete_account as erase
from portal.accounts.leaving import nameless, tombstone
from portal.accounts.login import current_actor, signed_in
from portal.accounts.models import User
from portal.accounts.queries import get_user
from portal.changelog.subscribers import list_subscriptions
from portal.changelog.subscriptions import end
from portal.core.actor import Actor
from portal.core.db import transaction
from portal.keys.closing import count_unrevoked, revoke_all_keys
from portal.orgs import members
from portal.orgs.errors import JoinedMeanwhile, LastOwner
from portal.orgs.leaving import OrgToLeave, close, forget_addresses, list_orgs_to_leave
from portal.tokens.commands import revoke_all_of_org, revoke_all_of_user
from portal.upgrades.leaving import forget_contact
from portal.web import responses
from portal.web.session import session

bp = Blueprint("leaving", __name__, url_prefix="/account/delete")

WHY = "The organisation was closed with the account of its only member."


@bp.get("")
def ask_delete() -> Response:
    return responses.page("console/delete_account.html", form=ProofForm(), **_question())


@bp.post("")
def delete_account() -> Response:
    form, person = ProofForm(), signed_in()
    form.prove()
    try:
        with transaction(session()):
            user, orgs = _locked(session(), person.user_id)
            if not form.validate():
                return _again(form)
            _delete(session(), actor=current_actor(), user=user, orgs=orgs)
    except (LastOwner, JoinedMeanwhile) as error:
        form.refuse(error.public)
        return _again(form)
    login.leave()
    return responses.done("/", message="Your account is deleted. Our last mail says so, too.")


def _locked(session: Session, user_id: str) -> tuple[User, list[OrgToLeave]]:
    """A person and all their organisations. Raises JoinedMeanwhile."""
    # The organisations first, as everybody does who changes their members.
    orgs = list_orgs_to_leave(session, user_id, for_update=True)
    user = get_user(session, user_id)
    # Whoever joins locks the person: from here on no further organisation can come.
    if len(list_orgs_to_leave(session, user_id)) != len(orgs):
        raise JoinedMeanwhile
    return user, orgs


def _delete(session: Session, *, actor: Actor, user: User, orgs: list[OrgToLeave]) -> None:
    who = nameless(actor)
    end(session, actor=who, subscriptions=list_subscriptions(session, user.id))
    revoke_all_of_user(session, actor=who, user_id=user.id)
    # From here on nothing that is written names them: colleagues are told of a deleted account.
    addresses = erase(session, actor=actor, user=user)
    forget_contact(session, user_id=user.id, words=tombstone(user.id))
    forget_addresses(session, actor=who, addresses=addresses, words=tombstone(user.id))
    for each in orgs:
        if each.is_alone:
            revoke_all_keys(session, actor=who, org=each.org, reason=WHY)
            revoke_all_of_org(session, actor=who, org=each.org)
            close(session, actor=who, org=each.org)
        else:
            members.leave(session, actor=who, org=each.org)


def _question() -> dict[str, Any]:
    orgs = list_orgs_to_leave(session(), signed_in().user_id)
    return {
        "closed": [
            (each.org, count_unrevoked(session(), each.org.id)) for each in orgs if each.is_alone
        ],
        "needed": [each.org for each in orgs if each.is_last_owner],
        "left": [each.org for each in orgs if not each.is_alone and not each.is_last_owner],
    }


def _again(form: ProofForm) -> Response:
    return responses.invalid(
        "console/delete_account.html",
        fragment="console/_delete_account_form.html",
        form=form,
        **_question(),
    )
