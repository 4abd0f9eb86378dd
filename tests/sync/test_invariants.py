"""Invariants of SYNC.md section 5 that the portal's side keeps; the gateway's are in tests/library."""

import copy
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import select

from portal.core import clock
from portal.core.db import Base, Touching, transaction
from portal.core.seal import SyncRecord
from portal.keys.caps import set_cap
from portal.keys.commands import pause_key, resume_key, revoke_key
from portal.keys.models import ApiKey
from portal.keys.rotation import Rotation, rotate_key
from portal.orgs.commands import lift_suspension, suspend_org
from portal.orgs.models import Org
from portal.sync.queries import get_head, list_gateways
from portal.tiers.grants import GrantRequest, end_grant, grant
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import current_assignment, current_grants, list_tiers
from portal.tiers.words import Identity
from tests.support.factories import make_key
from tests.support.wire import Copy

ACTS = 24

# What gateways are told, by class; all else of a touching row is named here with its reason.
ON_THE_WIRE = {
    "Org": {"id", "suspended_at"},
    "TierAssignment": {"org_id", "number", "tier"},
    "Grant": {
        *("id", "org_id", "model", "metric", "kind", "period", "quota", "burst"),
        *("starts_at", "ends_at", "ended_at"),
    },
    "ApiKey": {
        *("id", "org_id", "digest", "environment", "lineage", "models", "networks", "caps"),
        *("expires_at", "paused_at", "revoked_at"),
    },
    "LogEntry": {"seq", "text"},
    "LogHead": {"text"},
}
KEPT_BACK = {
    # Names and addresses of people's making; a gateway knows ids.
    "Org": {"slug", "name", "created_at", "suspended_reason"},
    "TierAssignment": {"kind", "reason", "assigned_by", "assigned_at"},
    # Who and why is for the journal and the organisation; reminders are the portal's affair.
    "Grant": {"reason", "created_by", "created_at", "remind_at", "ended_by", "ended_reason"},
    # For recognition by people, and for the journal. What supersedes a key only frees the name.
    "ApiKey": {
        *("name", "name_folded", "prefix", "last_four", "created_by", "token_id", "created_at"),
        *("superseded_at", "successor_id", "remind_at", "revoked_by", "revoked_reason"),
    },
    # Both stand in the text as well.
    "LogEntry": {"at", "kind"},
    # Size and root stand in the text; trouble is for the staff; the rest is the row's own.
    "LogHead": {"id", "size", "root", "signed_at", "trouble", "trouble_kind"},
}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_completeness_every_field_of_a_touching_row_is_on_the_wire_or_kept_back_on_purpose(app):
    touching = {
        mapper.class_.__name__: {column.key for column in mapper.columns}
        for mapper in Base.registry.mappers
        if issubclass(mapper.class_, Touching)
    }

    assert touching == {name: ON_THE_WIRE[name] | KEPT_BACK[name] for name in touching}
    assert touching.keys() == ON_THE_WIRE.keys()


@pytest.fixture
def acts(sessions, cast):
    """Random acts that gateways must hear of; each call is one transaction."""
    random = Random(20261126)  # noqa: S311 -- repeatable on purpose

    def act():
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id, with_for_update=True)
            keys, tiers = [_issue, _issue, _revoke, _issue_and_move], [_move, _grant, _end_grant]
            keys += [_pause_or_resume, _rotate, _cap]
            random.choice([*keys, *tiers, _suspend])(session, cast, org, random)

    return act


def _issue(session, cast, org, random):
    make_key(session, org=org, actor=cast.ada.actor)


def _revoke(session, cast, org, random):
    keys = session.scalars(select(ApiKey).where(ApiKey.org_id == org.id).with_for_update()).all()
    if keys:
        revoke_key(session, actor=cast.ada.actor, key=random.choice(keys), reason="Drawn.")


def _any_newest(session, cast, org, random):
    """A key that is neither revoked nor rotated; a new one where there is none, so that something changes."""
    query = select(ApiKey).where(ApiKey.org_id == org.id, ApiKey.superseded_at.is_(None))
    keys = session.scalars(query.where(ApiKey.revoked_at.is_(None)).with_for_update()).all()
    return random.choice(keys) if keys else make_key(session, org=org, actor=cast.ada.actor).key


def _pause_or_resume(session, cast, org, random):
    key = _any_newest(session, cast, org, random)
    change = resume_key if key.paused_at else pause_key
    change(session, actor=cast.ada.actor, key=key)


def _rotate(session, cast, org, random):
    rotation = Rotation(grace_seconds=random.choice([0, 3600]))
    key = _any_newest(session, cast, org, random)
    given = {"actor": cast.ada.actor, "org": org, "key": key, "rotation": rotation}
    rotate_key(session, **given, brand="plim")


def _cap(session, cast, org, random):
    limit, quota = Identity("opus-5", "requests", "bucket", 60), random.randint(0, 9)
    key = _any_newest(session, cast, org, random)
    set_cap(session, actor=cast.ada.actor, org=org, key=key, limit=limit, quota=quota)


def _suspend(session, cast, org, random):
    change = lift_suspension if org.suspended_at else suspend_org
    change(session, actor=cast.root.actor, org=org, reason="Drawn.")


def _move(session, cast, org, random):
    held = current_assignment(session, org.id).tier
    tier = random.choice([tier.slug for tier in list_tiers(session) if tier.slug != held])
    decision = TierDecision(tier=tier, reason="Drawn.", for_abuse=True)
    decide_tier(session, actor=cast.root.actor, org=org, decision=decision)


def _grant(session, cast, org, random):
    request = GrantRequest(
        limit=Identity("opus-5", "requests", "bucket", 60),
        quota=random.randint(10_001, 20_000),
        ends_at=clock.now() + timedelta(days=1),
        reason="Drawn.",
    )
    grant(session, actor=cast.root.actor, org=org, request=request)


def _end_grant(session, cast, org, random):
    for row in current_grants(session, org.id, clock.now()):
        end_grant(session, actor=cast.root.actor, org=org, row=row, reason="Drawn.")


def _issue_and_move(session, cast, org, random):
    _issue(session, cast, org, random)
    _move(session, cast, org, random)


def test_prefix_and_resumable_from_any_cursor_the_copy_becomes_the_portals_state(
    wire, sessions, acts
):
    older = [wire.pull(Copy())]
    for _ in range(ACTS):
        acts()
        older.append(wire.pull(copy.deepcopy(older[-1])))

    states = [wire.pull(held).records for held in older]

    with sessions() as session:
        stored = {
            (row.kind, row.id): row.data.encode() for row in session.scalars(select(SyncRecord))
        }
    assert all(state == stored for state in states)


def test_atomic_one_act_is_one_revision_however_many_records_it_changes(wire, sessions, cast, acts):
    held = wire.pull(Copy())
    with sessions() as session:
        before = get_head(session).revision
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id, with_for_update=True)
        _issue_and_move(session, cast, org, Random(1))  # noqa: S311 -- repeatable on purpose

    wire.pull(held)

    puts = [said for said in held.heard if said["t"] == "put" and said["rev"] > before]
    assert {said["kind"] for said in puts} == {"key", "org"}
    assert {said["rev"] for said in puts} == {before + 1}


def test_an_act_that_changes_nothing_for_gateways_makes_no_revision(sessions, cast):
    with sessions() as session:
        before = get_head(session).revision
    with sessions() as session, transaction(session):
        session.get_one(Org, cast.acme.id, with_for_update=True).name = "Acme, renamed"

    with sessions() as session:
        assert get_head(session).revision == before


def test_finality_no_act_brings_a_revoked_key_back(wire, sessions, cast, acts):
    with sessions() as session, transaction(session):
        key = make_key(session, org=session.get_one(Org, cast.acme.id), actor=cast.ada.actor).key
        revoke_key(session, actor=cast.ada.actor, key=key, reason="Lost.")
    held = Copy()

    for _ in range(ACTS):
        acts()
        assert wire.pull(held).of("key", key.id)["state"] == "revoked"


def test_status_truth_a_gateway_is_current_only_with_the_newest_acknowledgement(
    wire, sessions, acts
):
    def behind():
        with sessions() as session:
            return list_gateways(session)[0].behind

    held = wire.pull(Copy())
    wire.report(held.cursor)
    assert behind() == 0
    acts()
    assert behind() == 1

    wire.report(held.cursor)
    assert behind() == 1
    wire.report(wire.pull(held).cursor)
    assert behind() == 0
