"""Flask-Login over session rows, and the guard: a page is public by its mark, or behind sign-in."""

from dataclasses import dataclass

from flask import Flask, Response, g, request, url_for
from flask import session as cookie
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from portal.accounts import commands
from portal.accounts.models import User
from portal.accounts.queries import find_session_user
from portal.core.actor import Actor
from portal.core.errors import NotFound
from portal.web.public import is_public
from portal.web.responses import done
from portal.web.session import session


@dataclass(frozen=True)
class SignedIn(UserMixin):  # type: ignore[misc]
    """Who is signed in, free of the database session; the cookie holds person and session id."""

    user_id: str
    session_id: str
    email: str
    is_admin: bool
    is_confirmed: bool

    @property
    def name(self) -> str:
        """How the person is called on pages: nobody is asked for more than an address."""
        return self.email

    def get_id(self) -> str:
        return f"{self.user_id}.{self.session_id}"


def install(app: Flask) -> None:
    """Attach Flask-Login and the guard."""
    manager = LoginManager(app)
    manager.session_protection = None  # sessions are rows; a changing address must not end them
    manager.user_loader(_load)
    app.before_request(lambda: _guard(app.view_functions.get(request.endpoint or "")))
    app.context_processor(lambda: {"viewer": viewer()})


def viewer() -> SignedIn | None:
    """The signed-in person, or None."""
    return current_user._get_current_object() if current_user.is_authenticated else None  # noqa: SLF001


def current_actor() -> Actor:
    """Who acts in this request."""
    person = viewer()
    ip = request.remote_addr
    if person is None:
        return Actor(ip=ip)
    return Actor(user_id=person.user_id, name=person.email, is_admin=person.is_admin, ip=ip)


def sign_in(user: User) -> None:
    """Start a session for the person, and end the one that this browser had; inside the act's transaction."""
    sign_out()
    agent = request.headers.get("User-Agent", "")
    actor = Actor(user_id=user.id, name=user.email, is_admin=user.is_admin, ip=request.remote_addr)
    session_id = commands.start_session(session(), actor=actor, user=user, user_agent=agent)
    login_user(_signed_in(user, session_id))
    # Tokens that were handed out before the sign-in end with it.
    cookie.pop("csrf_token", None)
    g.pop("csrf_token", None)


def sign_out() -> None:
    """End the session; inside the act's transaction."""
    person = viewer()
    if person is not None:
        commands.end_session(session(), actor=current_actor(), session_id=person.session_id)
    logout_user()


def require_admin() -> None:
    """For every page of the provider's staff: others are told that there is nothing."""
    if not current_actor().is_admin:
        raise NotFound


def _load(value: str) -> SignedIn | None:
    user_id, _, session_id = value.partition(".")
    user = find_session_user(session(), user_id=user_id, session_id=session_id)
    if user is None:
        # The session ended elsewhere: the browser need not carry its name any longer.
        cookie.pop("_user_id", None)
        return None
    return _signed_in(user, session_id)


def _signed_in(user: User, session_id: str) -> SignedIn:
    return SignedIn(
        user_id=user.id,
        session_id=session_id,
        email=user.email,
        is_admin=user.is_admin,
        is_confirmed=user.email_confirmed_at is not None,
    )


def _guard(view: object) -> Response | None:
    if view is None or request.endpoint == "static" or is_public(view):
        return None
    if current_user.is_authenticated:
        return None
    target = url_for("accounts.sign_in", next=_here() if request.method == "GET" else None)
    return done(target)


def _here() -> str:
    return request.full_path if request.query_string else request.path
