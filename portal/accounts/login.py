"""Flask-Login over session rows, and the guard: a page is public by its mark, or behind sign-in."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Flask, Response, g, request, url_for
from flask import session as cookie
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from portal.accounts import commands, devices
from portal.accounts.models import User
from portal.accounts.policy import may_act_as_staff
from portal.accounts.queries import LiveSession, find_session, has_second_factor
from portal.accounts.signed_in import SEEN_EVERY, note_seen
from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import Busy, transaction
from portal.core.errors import NotFound
from portal.web.public import is_public
from portal.web.responses import done
from portal.web.session import session, sessions, settings

DEVICE = "plimsoll_device"  # the cookie by which a browser is known again
DEVICE_LASTS = timedelta(days=400)  # browsers keep no cookie for longer
HALF = "half_sign_in"  # the cookie's random value between the password and the code


@dataclass(frozen=True)
class SignedIn(UserMixin):  # type: ignore[misc]
    """Who is signed in, free of the database session; the cookie holds person and session id."""

    user_id: str
    session_id: str
    email: str
    is_admin: bool
    is_confirmed: bool
    has_second_factor: bool
    proven_at: datetime | None
    seen_at: datetime

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
    app.after_request(_remember_device)
    app.after_request(_note_seen)
    app.context_processor(lambda: {"viewer": viewer()})


def viewer() -> SignedIn | None:
    """The signed-in person, or None."""
    return current_user._get_current_object() if current_user.is_authenticated else None  # noqa: SLF001


def signed_in() -> SignedIn:
    """The signed-in person, on pages that the guard lets nobody else see."""
    person = viewer()
    if person is None:
        raise NotFound
    return person


def current_actor() -> Actor:
    """Who acts in this request."""
    person = viewer()
    ip = request.remote_addr
    if person is None:
        return Actor(ip=ip)
    is_staff = may_act_as_staff(
        is_admin=person.is_admin,
        has_second_factor=person.has_second_factor,
        is_development=settings().is_development,
    )
    return Actor(user_id=person.user_id, name=person.email, is_admin=is_staff, ip=ip)


def begin(user: User) -> None:
    """Sign the person in, or ask for their code first; inside the act's transaction.

    Until the code is there, the cookie holds a value that no page but the one for the code understands.
    """
    if not has_second_factor(session(), user.id):
        sign_in(user)
        return
    sign_out()
    cookie[HALF] = commands.begin_sign_in(session(), actor=current_actor(), user=user)


def sign_in(user: User) -> None:
    """Start a session for the person, and end the one that this browser had; inside the act's transaction.

    Only for whoever has proved all that their account asks for: others `begin`.
    """
    sign_out()
    stay(user)
    # Tokens that were handed out before the sign-in end with it.
    cookie.pop(HALF, None)
    cookie.pop("csrf_token", None)
    g.pop("csrf_token", None)


def stay(user: User) -> None:
    """Start a session for the person in the place of this browser's own, which has ended with all others.

    The forms that the browser shows stay good. Inside the act's transaction.
    """
    agent = request.headers.get("User-Agent", "")
    actor = commands.signing_in(current_actor(), user)
    session_id = commands.start_session(session(), actor=actor, user=user, user_agent=agent)
    g.device = devices.greet(
        session(),
        actor=actor,
        user=user,
        token=request.cookies.get(_device_cookie()),
        user_agent=agent,
        url=settings().url,
    )
    now = clock.now()
    live = LiveSession(user, now, has_second_factor(session(), user.id), now)
    login_user(_signed_in(live, session_id))


def leave() -> None:
    """Let the browser forget whose it was, where the session has ended with the account."""
    logout_user()
    cookie.clear()


def sign_out() -> None:
    """End the session; inside the act's transaction."""
    person = viewer()
    if person is not None:
        commands.end_session(session(), actor=current_actor(), session_id=person.session_id)
    logout_user()


def require_admin() -> Response | None:
    """For every page of the provider's staff: others are told that there is nothing.

    Staff who must have a second factor and have none are led to where they set it up.
    """
    if current_actor().is_admin:
        return None
    person = viewer()
    if person is None or not person.is_admin:
        raise NotFound
    to = url_for("second_factor.factor")
    return done(to, message="The pages of the staff open once your second factor is on.")


def _load(value: str) -> SignedIn | None:
    user_id, _, session_id = value.partition(".")
    found = find_session(session(), user_id=user_id, session_id=session_id)
    if found is None:
        # The session ended elsewhere: the browser need not carry its name any longer.
        cookie.pop("_user_id", None)
        return None
    return _signed_in(found, session_id)


def _signed_in(found: LiveSession, session_id: str) -> SignedIn:
    return SignedIn(
        user_id=found.user.id,
        session_id=session_id,
        email=found.user.email,
        is_admin=found.user.is_admin,
        is_confirmed=found.user.email_confirmed_at is not None,
        has_second_factor=found.has_second_factor,
        proven_at=found.proven_at,
        seen_at=found.seen_at,
    )


def _device_cookie() -> str:
    # With this beginning, no neighbour under the same domain can plant one of its own.
    return DEVICE if settings().is_development else f"__Host-{DEVICE}"


def _remember_device(response: Response) -> Response:
    value = g.pop("device", None)
    if value is not None:
        response.set_cookie(
            _device_cookie(),
            value,
            max_age=DEVICE_LASTS,
            secure=not settings().is_development,
            httponly=True,
            samesite="Lax",
        )
    return response


def _note_seen(response: Response) -> Response:
    """Here, where no transaction is open any more: a page that only reads must not wait to write."""
    person = g.get("_login_user")
    if isinstance(person, SignedIn) and clock.now() >= person.seen_at + SEEN_EVERY:
        with suppress(Busy), sessions()() as own, transaction(own):
            note_seen(own, session_id=person.session_id, ip=request.remote_addr)
    return response


def _guard(view: object) -> Response | None:
    if view is None or request.endpoint == "static" or is_public(view):
        return None
    if current_user.is_authenticated:
        return None
    target = url_for("accounts.sign_in", next=_here() if request.method == "GET" else None)
    return done(target)


def _here() -> str:
    return request.full_path if request.query_string else request.path
