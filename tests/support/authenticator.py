"""A phone with an authenticator app, as a person of the tests holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyotp
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import second_factor
from portal.accounts.models import UserSession
from portal.accounts.queries import get_user
from portal.accounts.totp import code_at, step_of
from portal.core import clock
from portal.core.db import Sessions, transaction
from tests.support.cast import Person

KEY = "for tests"  # the secret key of `make_settings`


@dataclass(frozen=True)
class Authenticator:
    """Shows codes for the secret that it was told, by the clock of the test."""

    secret: str
    recovery_codes: tuple[str, ...] = ()

    def code(self, *, steps: int = 0) -> str:
        """The code of this half minute, or of one `steps` later."""
        return pyotp.TOTP(self.secret.replace(" ", "")).at(clock.now(), counter_offset=steps)

    def wrong_code(self) -> str:
        """Six digits that are not right now, nor soon."""
        near = {self.code(steps=steps) for steps in range(-2, 3)}
        return next(code for code in map("{:06}".format, range(9)) if code not in near)


def give_authenticator(sessions: Sessions, person: Person) -> Authenticator:
    """Turn on a person's second factor, an hour ago, so that its first code is past.

    Browsers in which they are signed in stay so, as if the code had been asked for there, long ago.
    """
    secret = pyotp.random_base32()
    earlier = clock.now() - timedelta(hours=1)
    with clock.running(lambda: earlier), sessions() as session, transaction(session):
        live = _live_sessions(session, person)
        codes = second_factor.turn_on(
            session,
            actor=person.actor,
            user=get_user(session, person.user_id),
            secret=secret,
            code=code_at(secret, step_of(earlier)),
            key=KEY,
        )
        for row in live:
            row.ended_at, row.proven_at = None, earlier
    return Authenticator(secret, codes)


def _live_sessions(session: Session, person: Person) -> Sequence[UserSession]:
    query = select(UserSession).where(UserSession.user_id == person.user_id)
    return session.scalars(query.where(UserSession.ended_at.is_(None))).all()
