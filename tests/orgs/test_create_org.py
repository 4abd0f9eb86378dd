import pytest
from sqlalchemy import select

from portal.core.db import transaction
from portal.orgs.errors import SlugTaken
from portal.orgs.models import Org
from tests.support.factories import make_org, make_user

pytestmark = pytest.mark.usefixtures("catalog", "clock")


@pytest.mark.parametrize("name", ["⚓️", "Org", "日本"])
def test_names_without_letters_get_addresses_of_their_own(sessions, name):
    with sessions() as session, transaction(session):
        slugs = {make_org(session, name=name).slug for _ in range(3)}

    assert len(slugs) == 3
    assert all(slug.startswith("org-") for slug in slugs)


def test_two_of_one_name_at_once_do_not_share_an_address(sessions, monkeypatch):
    """Where the look found the address free and the index did not, the caller is told to try again."""
    from portal.orgs import commands

    with sessions() as session, transaction(session):
        make_org(session, name="Acme")
    monkeypatch.setattr(commands, "_free_slug", lambda *_: "acme")

    with sessions() as session:  # noqa: SIM117 -- the session outlives the failed act
        with pytest.raises(SlugTaken), transaction(session):
            make_org(session, name="Acme", owner=make_user(session))

    with sessions() as session:
        assert session.scalars(select(Org.slug)).all() == ["acme"]
