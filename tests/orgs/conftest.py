import pytest
from sqlalchemy import select

from portal.core.db import transaction
from portal.orgs.models import Membership, Org
from tests.support.factories import make_invitation


@pytest.fixture
def as_ada(visit, client, cast, clock):
    """The checking client, signed in as the owner of Acme; the clock first, since a proof has its age."""
    cast.sign_in(client, cast.ada)
    return visit


@pytest.fixture
def roles(sessions, cast):
    """Who is what in Acme: user id to role."""

    def read():
        with sessions() as session:
            rows = session.execute(
                select(Membership.user_id, Membership.role).where(Membership.org_id == cast.acme.id)
            )
            return {user_id: role.value for user_id, role in rows}

    return read


@pytest.fixture
def invited(sessions, cast):
    """Invite somebody to Acme, by Ada as a developer unless told: the id, and the mailed token."""

    def invited(email="eve@example.com", **values):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            return make_invitation(session, org=org, email=email, **values)

    return invited


@pytest.fixture
def member(sessions, cast):
    """Make one of the cast what they are in Acme from now on."""

    def member(person, role):
        with sessions() as session, transaction(session):
            found = session.get(Membership, (cast.acme.id, person.user_id))
            if found is None:
                found = Membership(org_id=cast.acme.id, user_id=person.user_id)
                session.add(found)
            found.role = role

    return member
