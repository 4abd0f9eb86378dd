from flask import Blueprint, Response, request, url_for
from flask import session as cookie

from portal.accounts import commands, login, passwords
from portal.accounts.forms import SetPasswordForm, SignInForm
from portal.accounts.login import current_actor
from portal.accounts.models import LinkPurpose, User
from portal.accounts.policy import is_local, must_be_usable
from portal.accounts.queries import find_link, find_user_by_email, get_user
from portal.core import clock
from portal.core.db import transaction
from portal.core.secrets import link_token
from portal.web import responses, throttle
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("accounts", __name__)

BROWSER = "browser"  # the cookie's random value that ties a mailed link to the browser that asked
WRONG = "The address or the password is not right."


def browser() -> str:
    """This browser's random value, made at first use."""
    value: str = cookie.setdefault(BROWSER, link_token())
    return value


@bp.get("/login")
@public
def sign_in() -> Response:
    if login.viewer():
        return responses.done("/")
    form = SignInForm(next=request.args.get("next", ""))
    return responses.page("accounts/sign_in.html", form=form)


@bp.post("/login")
@public
def start_session() -> Response:
    form = SignInForm()
    if not form.validate():
        return _sign_in_again(form)
    tries = {"sign_in": throttle.address(), "sign_in_account": form.email.data.lower()}
    for name, subject in tries.items():
        throttle.take(name, subject)
    found = find_user_by_email(session(), form.email.data)
    if not _is_right(found, form.password.data):
        form.refuse(WRONG)
        return _sign_in_again(form)
    for name, subject in tries.items():
        throttle.give_back(name, subject)
    return responses.done(form.next.data if is_local(form.next.data) else "/")


def _is_right(found: User | None, password: str) -> bool:
    """Whether the password fits; if so, the session is started."""
    checked = found.password_hash if found else None
    if not passwords.is_right(checked, password) or found is None:
        return False
    user_id = found.id
    with transaction(session()):
        user = get_user(session(), user_id)
        # A reset may have come between the look and the lock; what it ended must not begin again.
        if user.password_hash != checked:
            return False
        login.sign_in(user)
    return True


@bp.get("/logout")
def leave() -> Response:
    return responses.page("accounts/sign_out.html")


@bp.post("/logout")
def end_session() -> Response:
    with transaction(session()):
        login.sign_out()
    return responses.done(url_for("accounts.sign_in"), message="You are signed out.")


@bp.get("/confirm/<token>")
@public
def confirm_email(token: str) -> Response:
    """A link in a mail can only GET. It confirms the address, and signs in only the browser that asked."""
    if request.method == "HEAD":  # programs that look at links before people do
        return responses.done("/")
    with transaction(session()):
        confirmed = commands.confirm_email(
            session(), actor=current_actor(), token=token, browser=cookie.get(BROWSER)
        )
        if confirmed.same_browser and current_actor().user_id in {None, confirmed.user.id}:
            login.sign_in(confirmed.user)
    to = "/" if login.viewer() else url_for("accounts.sign_in")
    return responses.done(to, message="Your address is confirmed.")


@bp.post("/account/confirmation")
def send_confirmation() -> Response:
    actor = current_actor()
    throttle.take("mail_link", actor.name.lower())
    with transaction(session()):
        user = get_user(session(), actor.user_id)
        commands.send_confirmation(
            session(), actor=actor, user=user, browser=browser(), url=settings().url
        )
    return responses.done("/", message=f"We have sent a new link to {actor.name}.")


@bp.get("/set-password/<token>")
@public
def new_password(token: str) -> Response:
    _must_be_open(token)
    return responses.page("accounts/set_password.html", form=SetPasswordForm(), token=token)


@bp.post("/set-password/<token>")
@public
def set_password(token: str) -> Response:
    throttle.take("set_password", throttle.address())
    form, user = SetPasswordForm(), _must_be_open(token)
    if not (form.validate() and form.is_strong(email=user.email)):
        return responses.invalid(
            "accounts/set_password.html",
            fragment="accounts/_set_password_form.html",
            form=form,
            token=token,
        )
    password_hash = passwords.hash_password(form.password.data)
    with transaction(session()):
        user = commands.set_password(
            session(), actor=current_actor(), token=token, password_hash=password_hash
        )
        login.sign_in(user)
    return responses.done("/", message="Your password is set.")


def _must_be_open(token: str) -> User:
    """Whose link this is, if it can still be used. Raises LinkUsedOrOver."""
    found = find_link(session(), token)
    link = must_be_usable(found, purpose=LinkPurpose.SET_PASSWORD, at=clock.now())
    return session().get_one(User, link.user_id)


def _sign_in_again(form: SignInForm) -> Response:
    return responses.invalid(
        "accounts/sign_in.html", fragment="accounts/_sign_in_form.html", form=form
    )
