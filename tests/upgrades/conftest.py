from datetime import date, timedelta

import pytest
from sqlalchemy import select

from portal.accounts.models import SecondFactor
from portal.core.db import transaction
from portal.orgs.models import Membership, Org, Role
from portal.tiers.queries import list_assignments
from portal.upgrades.commands import Asked, submit_request
from portal.upgrades.models import UpgradeMessage, UpgradeRequest
from tests.support.factories import actor_of, add_member, make_user

URL = "http://localhost"
EXPECTED = {"model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60, "amount": 3000}


@pytest.fixture
def as_ada(visit, client, cast):
    """The checking client, signed in as Acme's owner."""
    cast.sign_in(client, cast.ada)
    return visit


@pytest.fixture
def as_root(visit, client, cast):
    """The checking client, signed in as one of the provider's staff."""
    cast.sign_in(client, cast.root)
    return visit


@pytest.fixture
def age(sessions, cast):
    """Make Acme so many days old."""

    def act(days, org=None):
        with sessions() as session, transaction(session):
            row = session.get_one(Org, (org or cast.acme).id)
            row.created_at -= timedelta(days=days)

    return act


@pytest.fixture
def give_factor(sessions, clock):
    """Turn a person's second factor on, as far as tiers ask for it."""

    def act(person):
        with sessions() as session, transaction(session):
            session.add(
                SecondFactor(
                    user_id=person.user_id, secret="sealed", confirmed_at=clock.at, last_step=0
                )
            )

    return act


@pytest.fixture
def ready(age, give_factor, cast):
    """Let Acme meet everything that Scale requires."""
    age(30)
    give_factor(cast.ada)


@pytest.fixture
def asked(clock):
    """What is asked for in a request for Scale."""

    def make(**values):
        given = {"tier": "scale", "purpose": "A weather service.", "expected": (EXPECTED,)}
        given |= {"wanted_on": clock.at.date(), "contact": "ada@example.com"}
        return Asked(**given | values)

    return make


@pytest.fixture
def send(sessions, cast, asked):
    """Send Acme's request for Scale; returns its id."""

    def act(actor=None, **values):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id, with_for_update=True)
            actor = actor or cast.ada.actor
            return submit_request(session, actor=actor, org=org, asked=asked(**values), url=URL).id

    return act


@pytest.fixture
def step(sessions, cast):
    """Do something with a request as somebody: `step(approve, request_id, reason=…)`."""

    def act(command, request_id, actor=None, **values):
        with sessions() as session, transaction(session):
            row = session.get_one(UpgradeRequest, request_id)
            org = session.get_one(Org, row.org_id, with_for_update=True)
            row = session.get_one(
                UpgradeRequest, request_id, with_for_update=True, populate_existing=True
            )
            if command.__name__ in {"take_up", "ask_question", "answer", "approve", "decline"}:
                values.setdefault("seen", row.steps)
            if command.__name__ != "take_up":
                values.setdefault("url", URL)
            command(session, actor=actor or cast.root.actor, org=org, request=row, **values)

    return act


@pytest.fixture
def read(sessions):
    """A request as it is now."""

    def act(request_id):
        with sessions() as session:
            return session.get_one(UpgradeRequest, request_id)

    return act


@pytest.fixture
def requests(sessions):
    """All requests, oldest first."""

    def act():
        with sessions() as session:
            return list(session.scalars(select(UpgradeRequest).order_by(UpgradeRequest.id)))

    return act


@pytest.fixture
def said(sessions):
    """The messages of all requests, oldest first."""

    def act():
        with sessions() as session:
            rows = session.scalars(select(UpgradeMessage).order_by(UpgradeMessage.id))
            return [(row.is_staff, row.text) for row in rows]

    return act


@pytest.fixture
def steps(sessions, cast):
    """Acme's tiers so far, newest first."""

    def act():
        with sessions() as session:
            return list_assignments(session, cast.acme.id)

    return act


@pytest.fixture
def rita(sessions, cast):
    """Another of the staff."""
    with sessions() as session, transaction(session):
        return actor_of(make_user(session, email="rita@example.com", admin=True))


@pytest.fixture
def mia(sessions, cast):
    """A manager of Acme."""
    with sessions() as session, transaction(session):
        user = make_user(session, email="mia@example.com")
        add_member(session, org=session.get_one(Org, cast.acme.id), user=user, role=Role.MANAGER)
        return actor_of(user)


@pytest.fixture
def owners_of_acme(sessions, cast):
    def act():
        with sessions() as session:
            query = select(Membership.user_id).where(
                Membership.org_id == cast.acme.id, Membership.role == Role.OWNER
            )
            return set(session.scalars(query))

    return act


@pytest.fixture
def today(clock) -> date:
    return clock.at.date()
