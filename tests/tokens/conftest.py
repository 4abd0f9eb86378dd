import pytest
from sqlalchemy import select

from portal.accounts.models import User
from portal.core.db import transaction
from portal.orgs.models import Org, Role
from portal.tokens.models import AccessToken
from tests.support.factories import make_org_token, make_token


@pytest.fixture
def token_of(sessions):
    """The secret of a personal token."""

    def make(person, **values) -> str:
        with sessions() as session, transaction(session):
            user = session.get_one(User, person.user_id)
            return make_token(session, user=user, **values).secret.text

    return make


@pytest.fixture
def token_of_org(sessions):
    """The secret of an organisation's token."""

    def make(org, role=Role.MANAGER, **values) -> str:
        with sessions() as session, transaction(session):
            found = session.get_one(Org, org.id)
            return make_org_token(session, org=found, role=role, **values).secret.text

    return make


@pytest.fixture
def stored(sessions):
    def read():
        with sessions() as session:
            return list(session.scalars(select(AccessToken).order_by(AccessToken.id)))

    return read


@pytest.fixture
def call(client):
    """Call the API as a program does: with a token, and without a cookie."""

    def call(method, path, token=None, **values):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return client.open(f"/api/v1{path}", method=method, headers=headers, **values)

    return call
