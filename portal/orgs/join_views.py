"""The page behind an invitation's link. Opening it changes nothing: programs look at links before people do."""

from enum import StrEnum

from flask import Blueprint, Response, url_for

from portal.accounts import login, passwords
from portal.accounts.errors import PersonExists
from portal.accounts.login import current_actor
from portal.accounts.queries import find_user_by_email
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Conflict
from portal.orgs import invitations
from portal.orgs.errors import NotYourInvitation
from portal.orgs.forms import AcceptForm, JoinForm
from portal.orgs.invitations import Joined
from portal.orgs.models import Invitation, Org
from portal.orgs.people import find_invitation
from portal.orgs.policy import must_be_open
from portal.web import responses, throttle
from portal.web.forms import BaseForm
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("join", __name__, url_prefix="/invitations/<token>")


class Step(StrEnum):
    """What is left to do for whoever opens the link."""

    ACCEPT = "accept"
    SIGN_IN = "sign_in"
    SIGN_UP = "sign_up"


@bp.get("")
@public
def invitation(token: str) -> Response:
    found, org = _open(token)
    step = _step(found)
    form = JoinForm() if step is Step.SIGN_UP else AcceptForm()
    return _page(token, found, org, step=step, form=form)


@bp.post("/accept")
def accept(token: str) -> Response:
    form = AcceptForm()
    try:
        with transaction(session()):
            joined = invitations.accept(session(), actor=current_actor(), token=token)
    except Conflict as error:
        form.refuse(error.public)
        return _page(token, *_open(token), step=Step.ACCEPT, form=form)
    return _welcome(joined)


@bp.post("/sign-up")
@public
def sign_up(token: str) -> Response:
    throttle.take("set_password", throttle.address())
    form = JoinForm()
    found, org = _open(token)
    if not (form.validate() and form.is_strong(email=found.email)):
        return _page(token, found, org, step=Step.SIGN_UP, form=form)
    password_hash = passwords.hash_password(form.password.data)
    try:
        with transaction(session()):
            joined = invitations.accept_as_newcomer(
                session(), actor=current_actor(), token=token, password_hash=password_hash
            )
            login.begin(joined.user)
    except (Conflict, PersonExists) as error:
        form.refuse(error.public)
        return _page(token, *_open(token), step=Step.SIGN_UP, form=form)
    return _welcome(joined)


def _open(token: str) -> tuple[Invitation, Org]:
    """The invitation behind the link and its organisation, if it can be accepted. Raises InvitationOver."""
    found = find_invitation(session(), token)
    invitation = must_be_open(found and found[0], at=clock.now())
    return invitation, session().get_one(Org, invitation.org_id)


def _step(found: Invitation) -> Step:
    """Raises NotYourInvitation where somebody else is signed in."""
    person = login.viewer()
    known = find_user_by_email(session(), found.email)
    if person is not None and person.email.lower() != found.email.lower():
        raise NotYourInvitation
    # An account that nobody confirmed may be a stranger's: whoever has the link chooses the password.
    if known is None or known.email_confirmed_at is None:
        return Step.SIGN_UP
    return Step.SIGN_IN if person is None else Step.ACCEPT


def _page(token: str, found: Invitation, org: Org, *, step: Step, form: BaseForm) -> Response:
    answer = responses.invalid if form.errors else responses.page
    response = answer(
        "orgs/invitation.html",
        fragment=f"orgs/_{step}_form.html",
        token=token,
        invitation=found,
        org=org,
        step=step,
        form=form,
    )
    response.headers["Cache-Control"] = "no-store"  # it says whether an address has an account
    return response


def _welcome(joined: Joined) -> Response:
    message = f"You are a member of {joined.org.name} now: {joined.role.value}."
    return responses.done(url_for("console.org", org=joined.org.slug), message=message)
