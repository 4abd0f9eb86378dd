from flask import Blueprint, Response, request, url_for
from flask import session as cookie

from portal.accounts import codes, commands, login, passwords
from portal.accounts.errors import SignInOver, WrongCode
from portal.accounts.forms import CodeForm, SetPasswordForm, SignInForm
from portal.accounts.login import current_actor
from portal.accounts.models import User
from portal.accounts.policy import PASSWORD_LINKS, is_local, must_be_usable
from portal.accounts.queries import find_half_sign_in, find_link, find_user_by_email, get_user
from portal.accounts.resets import set_password as set_password_by
from portal.accounts.second_factor import finish_sign_in
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
    return _on_from_the_password(form.next.data)


def _on_from_the_password(target: str | None) -> Response:
    """To where the person wanted, or to the page that asks for their code."""
    to = target if is_local(target) else None
    if login.viewer():
        return responses.done(to or "/")
    return responses.done(url_for("accounts.enter_code", next=to))


def _is_right(found: User | None, password: str) -> bool:
    """Whether the password fits; if so, the person is signed in, or half-way."""
    checked = found.password_hash if found else None
    if not passwords.is_right(checked, password) or found is None:
        return False
    user_id = found.id
    with transaction(session()):
        user = get_user(session(), user_id)
        # A reset may have come between the look and the lock; what it ended must not begin again.
        if user.password_hash != checked:
            return False
        login.begin(user)
    return True


@bp.get("/login/code")
@public
def enter_code() -> Response:
    if login.viewer():
        return responses.done("/")
    if _half_way() is None:
        return _from_the_beginning()
    form = CodeForm(next=request.args.get("next", ""))
    response = responses.page("accounts/enter_code.html", form=form)
    response.headers["Cache-Control"] = "no-store"  # it says that somebody's password was right
    return response


@bp.post("/login/code")
@public
def check_code() -> Response:
    form, user_id = CodeForm(), _half_way()
    if user_id is None:
        return _from_the_beginning()
    if not form.validate():
        return _code_again(form)
    codes.take_try(user_id)
    try:
        with transaction(session()):
            user = finish_sign_in(
                session(),
                actor=current_actor(),
                token=cookie[login.HALF],
                code=form.code.data,
                key=settings().secret_key,
            )
            login.sign_in(user)
    except WrongCode as error:
        form.refuse(error.public, field=error.field)
        return _code_again(form)
    codes.give_back(user_id)
    return responses.done(form.next.data if is_local(form.next.data) else "/")


def _half_way() -> str | None:
    """Who has given their password in this browser, and the code not yet."""
    half = find_half_sign_in(session(), cookie.get(login.HALF, ""))
    return half.user_id if half else None


def _from_the_beginning() -> Response:
    return responses.done(url_for("accounts.sign_in"), message=SignInOver.public)


def _code_again(form: CodeForm) -> Response:
    return responses.invalid(
        "accounts/enter_code.html", fragment="accounts/_enter_code_form.html", form=form
    )


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
            login.begin(confirmed.user)
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
        user = set_password_by(
            session(),
            actor=current_actor(),
            token=token,
            password_hash=password_hash,
            url=settings().url,
        )
        login.begin(user)
    to = "/" if login.viewer() else url_for("accounts.enter_code")
    return responses.done(to, message="Your password is set.")


def _must_be_open(token: str) -> User:
    """Whose link this is, if it can still be used. Raises LinkUsedOrOver."""
    found = find_link(session(), token)
    link = must_be_usable(found, *PASSWORD_LINKS, at=clock.now())
    return session().get_one(User, link.user_id)


def _sign_in_again(form: SignInForm) -> Response:
    return responses.invalid(
        "accounts/sign_in.html", fragment="accounts/_sign_in_form.html", form=form
    )
