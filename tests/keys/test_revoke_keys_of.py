"""All keys that a member issued, revoked in one act."""

import pytest

from portal.core.db import transaction
from portal.core.errors import Forbidden
from portal.keys.commands import revoke_keys_of
from portal.orgs.models import Org


@pytest.fixture
def revoke(sessions, cast):
    def act(*, by, of):
        with sessions() as session, transaction(session):
            org, reason = session.get_one(Org, cast.acme.id), "They left."
            user = of.user_id
            keys = revoke_keys_of(session, actor=by.actor, org=org, user_id=user, reason=reason)
            return [key.name for key in keys]

    return act


def test_what_a_member_issued_is_revoked_and_nothing_else(issue, cast, revoke, now, journal):
    kept = issue(name="Ada's", by=cast.ada).key
    gone = [issue(name=f"Ben's {number}", by=cast.ben).key for number in range(3)]

    names = revoke(by=cast.ada, of=cast.ben)

    assert names == [key.name for key in gone]
    assert all(now(key.id).revoked_reason == "They left." for key in gone)
    assert now(kept.id).revoked_at is None
    assert len([event for event in journal() if event.tag == "org:key:revoked"]) == 3
    assert revoke(by=cast.ada, of=cast.ben) == []


def test_who_leaves_may_revoke_their_own_whatever_their_role_is_now(issue, cast, revoke):
    issue(by=cast.ben)

    assert revoke(by=cast.cleo, of=cast.cleo) == []
    with pytest.raises(Forbidden):
        revoke(by=cast.cleo, of=cast.ben)
