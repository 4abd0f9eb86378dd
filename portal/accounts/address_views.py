"""The person's address: changed by a form here and a yes in both mailboxes."""

from flask import Blueprint, Response, url_for

from portal.accounts import address
from portal.accounts.errors import AddressTaken, SameAddress
from portal.accounts.forms import ChangeAddressForm
from portal.accounts.login import current_actor, signed_in
from portal.accounts.models import EmailChange
from portal.accounts.queries import get_user
from portal.core.db import transaction
from portal.core.errors import TooMany
from portal.web import responses, throttle
from portal.web.forms import BaseForm
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("address", __name__)


@bp.get("/account/email")
def new_address() -> Response:
    return responses.page("accounts/address.html", form=ChangeAddressForm(), change=_under_way())


@bp.post("/account/email")
def change_address() -> Response:
    form, person = ChangeAddressForm(), signed_in()
    form.prove()
    if not form.validate():
        return _again(form)
    # Counted for both mailboxes; whether there was one too many is not for this page to tell.
    may_mail = _may_mail(form.email.data)
    try:
        with transaction(session()):
            user = get_user(session(), person.user_id)
            if may_mail:
                address.start_change(
                    session(),
                    actor=current_actor(),
                    user=user,
                    email=form.email.data,
                    url=settings().url,
                )
    except SameAddress as error:
        form.refuse(error.public, field=error.field)
        return _again(form)
    said = f"We have written to {form.email.data}."
    if person.is_confirmed:
        said = f"We have written to {form.email.data} and to {person.email}: both have to say yes."
    return responses.done(url_for("address.new_address"), message=said)


def _may_mail(email: str) -> bool:
    throttle.take("change_address", signed_in().user_id)
    try:
        throttle.take("mail_link", email.lower())
    except TooMany:
        return False
    return True


@bp.post("/account/email/cancel")
def cancel_change() -> Response:
    with transaction(session()):
        user = get_user(session(), signed_in().user_id)
        address.cancel_change(session(), actor=current_actor(), user=user)
    return responses.done(url_for("address.new_address"), message="Your address stays as it is.")


@bp.get("/email-change/<token>")
@public
def email_change(token: str) -> Response:
    """Programs look at links in mails before people do: so this asks, and a button acts."""
    side = address.get_side(session(), token)
    return responses.page("accounts/email_change.html", side=side, token=token, form=BaseForm())


@bp.post("/email-change/<token>/confirm")
@public
def confirm_change(token: str) -> Response:
    throttle.take("set_password", throttle.address())
    try:
        with transaction(session()):
            is_done = address.confirm_side(session(), actor=current_actor(), token=token)
    except AddressTaken as error:
        return responses.done("/", message=error.public)
    said = "The other address has to say yes, too: look there for our mail."
    if is_done:
        said = "Your account has its new address. From now on you sign in with it."
    return responses.done("/", message=said)


@bp.post("/email-change/<token>/refuse")
@public
def refuse_change(token: str) -> Response:
    throttle.take("set_password", throttle.address())
    with transaction(session()):
        ended = address.refuse_change(session(), actor=current_actor(), token=token)
    if ended:
        said = "Nothing was changed, and every browser is signed out. Set a new password now."
        return responses.done(url_for("resets.forgot_password"), message=said)
    return responses.done("/", message="Nothing was changed.")


def _under_way() -> EmailChange | None:
    return address.find_change(session(), signed_in().user_id)


def _again(form: ChangeAddressForm) -> Response:
    return responses.invalid(
        "accounts/address.html",
        fragment="accounts/_address_form.html",
        form=form,
        change=_under_way(),
    )
