import pytest

from portal.core.db import transaction
from portal.keys.commands import IssuedKey
from portal.keys.models import ApiKey
from portal.orgs.models import Org
from tests.support.factories import make_key
from tests.support.wire import Wire, enrol


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


@pytest.fixture
def key(issue):
    return issue(name="Billing").key


@pytest.fixture
def now(sessions, key):
    """The key as it is in the tables now."""

    def read(key_id=None):
        with sessions() as session:
            return session.get_one(ApiKey, key_id or key.id)

    return read


@pytest.fixture
def wire(app, sessions):
    """What a gateway pulls."""
    return Wire(app, enrol(sessions))


@pytest.fixture
def turned_away(visit, client, cast):
    """Nobody from outside finds the act, and whoever only reads may not do it, whatever the form holds."""

    def check(path, data=None, *, asks=None):
        for person, home, status in ((cast.dan, "delta", 404), (cast.cleo, "acme", 403)):
            cast.sign_in(client, person)
            token = visit.get(f"/orgs/{home}/keys").soup.select_one("[name=csrf_token]")["value"]
            visit.get(asks or path, status=status)
            for sent in (data or {}), {}:
                visit.post(path, data={"csrf_token": token, **sent}, status=status)

    return check
