"""A forgotten password. Neither what the pages say nor how long they take tells who has an account."""

from flask import Blueprint, Response, url_for

from portal.accounts.forms import ForgotPasswordForm
from portal.accounts.login import current_actor
from portal.accounts.resets import ask_reset
from portal.core.db import transaction
from portal.core.errors import TooMany
from portal.web import responses, throttle
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("resets", __name__, url_prefix="/forgot-password")


@bp.get("")
@public
def forgot_password() -> Response:
    return responses.page("accounts/forgot_password.html", form=ForgotPasswordForm())


@bp.post("")
@public
def ask() -> Response:
    form = ForgotPasswordForm()
    if not form.validate():
        return responses.invalid(
            "accounts/forgot_password.html",
            fragment="accounts/_forgot_password_form.html",
            form=form,
        )
    throttle.take("reset_password", throttle.address())
    if _may_mail(form.email.data):
        with transaction(session()):
            ask_reset(session(), actor=current_actor(), email=form.email.data)
    return responses.done(url_for("resets.check_mail"))


def _may_mail(email: str) -> bool:
    """Whether a further mail to the address is fair; where not, the answer stays the same."""
    try:
        throttle.take("mail_link", email.lower())
    except TooMany:
        return False
    return True


@bp.get("/mail")
@public
def check_mail() -> Response:
    return responses.page("accounts/reset_mail.html")
