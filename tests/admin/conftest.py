import pytest
from sqlalchemy import select

from portal.orgs.models import Org
from tests.support.changes import counts, log, publish, run

__all__ = ["counts", "log", "publish", "run"]


@pytest.fixture
def as_root(visit, client, cast):
    """The checking client, signed in as one of the provider's staff."""
    cast.sign_in(client, cast.root)
    return visit


@pytest.fixture
def acme(sessions, cast):
    """Acme's row as it is now."""

    def read():
        with sessions() as session:
            return session.scalars(select(Org).where(Org.id == cast.acme.id)).one()

    return read


@pytest.fixture
def record(sessions, cast):
    """Acme's sync record as gateways are sent it."""
    from portal.core.seal import SyncRecord

    def read():
        with sessions() as session:
            return session.get_one(SyncRecord, ("org", cast.acme.id)).data

    return read


@pytest.fixture
def token(visit):
    """The CSRF token of whoever is signed in."""

    def read():
        return visit.get("/").form("Sign out").values["csrf_token"][0]

    return read
