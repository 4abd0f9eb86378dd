"""The people of the tests.

Ada owns Acme. Ben is a developer there, Cleo only reads. Dan is an outsider and owns Delta.
Root is one of the provider's staff.
"""

from dataclasses import dataclass

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import commands as accounts
from portal.accounts.models import User
from portal.core.actor import Actor
from portal.core.db import Sessions, transaction
from portal.orgs.models import Org, Role
from tests.support.factories import PASSWORD, add_member, make_org, make_user


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in."""

    user_id: str
    email: str
    is_admin: bool
    password: str = PASSWORD

    @property
    def actor(self) -> Actor:
        return Actor(user_id=self.user_id, name=self.email, is_admin=self.is_admin, ip="127.0.0.1")


@dataclass(frozen=True)
class Organisation:
    id: str
    slug: str
    name: str


@dataclass(frozen=True)
class Cast:
    ada: Person
    ben: Person
    cleo: Person
    dan: Person
    root: Person
    acme: Organisation
    delta: Organisation
    sessions: Sessions

    def sign_in(self, client: FlaskClient, person: Person) -> None:
        """Sign in without the form: the same session row, the same cookie."""
        with self.sessions() as session, transaction(session):
            session_id = accounts.start_session(
                session,
                actor=person.actor,
                user=session.get_one(User, person.user_id),
                user_agent="tests",
            )
        with client.session_transaction() as cookie:
            cookie["_user_id"] = f"{person.user_id}.{session_id}"
            cookie["_fresh"] = True


def bring(sessions: Sessions) -> None:
    """Write the cast into a database whose catalogue is published."""
    with sessions() as session, transaction(session):
        ada = make_user(session, email=_address("ada"))
        acme = make_org(session, name="Acme", owner=ada)
        for name, role in (("ben", Role.DEVELOPER), ("cleo", Role.VIEWER)):
            add_member(session, org=acme, user=make_user(session, email=_address(name)), role=role)
        make_org(session, name="Delta", owner=make_user(session, email=_address("dan")))
        make_user(session, email=_address("root"), admin=True)


def find(sessions: Sessions) -> Cast:
    """The cast of a database that `bring` has written."""
    with sessions() as session:
        people = {name: _person(session, name) for name in ("ada", "ben", "cleo", "dan", "root")}
        acme, delta = (_organisation(session, slug) for slug in ("acme", "delta"))
    return Cast(**people, acme=acme, delta=delta, sessions=sessions)


def _address(name: str) -> str:
    return f"{name}@example.com"


def _person(session: Session, name: str) -> Person:
    user = session.scalars(select(User).where(User.email == _address(name))).one()
    return Person(user.id, user.email, user.is_admin)


def _organisation(session: Session, slug: str) -> Organisation:
    org = session.scalars(select(Org).where(Org.slug == slug)).one()
    return Organisation(org.id, org.slug, org.name)
