"""Two members at one key at once: one revokes, one pauses, one rotates; then the state is checked."""

import random
import threading

import pytest

from portal.core.db import snapshot, transaction
from portal.core.errors import PortalError
from portal.keys.caps import set_cap
from portal.keys.commands import pause_key, rename_key, resume_key, revoke_key
from portal.keys.models import ApiKey
from portal.keys.queries import get_key
from portal.keys.rotation import Rotation, rotate_key
from portal.orgs.models import Org
from portal.sync.check import check
from portal.tiers.words import Identity
from tests.support.factories import make_key
from tests.support.wire import Copy

LIMIT = Identity("opus-5", "requests", "bucket", 60)
ACTS = ("revoke", "pause", "resume", "rename", "rotate", "cap")


def perform(name, session, org, **given):
    """One act by `actor` on `key`."""
    match name:
        case "revoke":
            revoke_key(session, **given, reason="Both at once.")
        case "pause":
            pause_key(session, **given)
        case "resume":
            resume_key(session, **given)
        case "rename":
            rename_key(session, **given, name=f"Name {given['key'].id}")
        case "rotate":
            rotation = Rotation(grace_seconds=3600)
            rotate_key(session, **given, org=org, brand="plim", rotation=rotation)
        case "cap":
            set_cap(session, **given, org=org, limit=LIMIT, quota=5)


@pytest.fixture
def act(sessions, cast):
    """Do one act on a key, as the page does; what a rule refuses is refused."""

    def do(name, key_id, actor):
        locks = name == "rotate"
        with sessions() as session:
            try:
                with transaction(session):
                    org = session.get_one(Org, cast.acme.id, with_for_update=locks or None)
                    key = get_key(session, org, key_id=key_id, for_update=True)
                    perform(name, session, org, actor=actor, key=key)
            except PortalError as error:
                return error.code
        return "done"

    return do


@pytest.fixture
def storm(sessions, cast, act):
    """Each round: a key, and two members with three acts each on it at the same time."""

    def run(rounds, seed):
        drawn, outcomes = random.Random(seed), []  # noqa: S311 -- repeatable on purpose
        for _ in range(rounds):
            with sessions() as session, transaction(session):
                org = session.get_one(Org, cast.acme.id)
                key_id = make_key(session, org=org, actor=cast.ada.actor).key.id
            plans = [
                (actor, drawn.choices(ACTS, k=3)) for actor in (cast.ada.actor, cast.ben.actor)
            ]
            threads = [
                threading.Thread(
                    target=lambda actor, names, key_id=key_id: outcomes.extend(
                        (name, act(name, key_id, actor)) for name in names
                    ),
                    args=plan,
                )
                for plan in plans
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            _end_all(sessions, cast)
        return outcomes

    return run


def _end_all(sessions, cast):
    """Make room for the next round's key."""
    with sessions() as session, transaction(session):
        for key in session.query(ApiKey).filter(ApiKey.revoked_at.is_(None)).with_for_update():
            revoke_key(session, actor=cast.ada.actor, key=key, reason="The round is over.")


def agree(sessions, wire, journal):
    with sessions() as session, snapshot(session):
        assert check(session).is_clean
    with sessions() as session:
        rows = list(session.query(ApiKey))
    copy = wire.pull(Copy())
    assert {copy.of("key", row.id)["state"] for row in rows} == {"revoked"}
    by_id = {row.id: row for row in rows}
    for row in rows:
        if row.successor_id:
            assert by_id[row.successor_id].lineage == row.lineage
    # One successor for each rotation that the journal tells of, and none besides.
    told = [event.subject_id for event in journal() if event.tag == "org:key:rotated"]
    assert sorted(told) == sorted(row.id for row in rows if row.successor_id)


def test_two_members_at_one_key_at_once_leave_a_clean_state(sessions, storm, wire, journal):
    outcomes = storm(8, 7)

    assert len(outcomes) == 48
    agree(sessions, wire, journal)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_two_members_leaves_a_clean_state(sessions, storm, wire, journal, seed):
    outcomes = storm(60, seed)

    assert {name for name, outcome in outcomes if outcome == "done"} == set(ACTS)
    assert {outcome for _, outcome in outcomes} <= {
        "done",
        "key_ended",
        "key_rotated",
        "name_taken",
    }
    agree(sessions, wire, journal)


def test_a_key_rotated_twice_at_once_has_one_successor(sessions, cast, key, act):
    seen = []
    pair = [
        threading.Thread(target=lambda actor=who.actor: seen.append(act("rotate", key.id, actor)))
        for who in (cast.ada, cast.ben)
    ]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()

    assert sorted(seen) == ["done", "key_rotated"]
    with sessions() as session:
        assert session.query(ApiKey).count() == 2
