import pytest

from portal.core.db import transaction
from portal.keys.commands import IssuedKey
from portal.orgs.models import Org
from tests.support.factories import make_key


@pytest.fixture
def issue(sessions, cast):
    """Issue a key for Acme, by Ada unless another is named."""

    def issue(*, by=None, **values) -> IssuedKey:
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id)
            return make_key(session, org=org, actor=(by or cast.ada).actor, **values)

    return issue


@pytest.fixture
def as_ada(visit, client, cast):
    """The checking client, signed in as the owner of Acme."""
    cast.sign_in(client, cast.ada)
    return visit
