"""The real portal and the real gateway, over HTTP: what is done here is decided there."""

import threading
import time

import pytest

from portal.core.actor import CLI
from portal.core.db import snapshot, transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.orgs.commands import lift_suspension, suspend_org
from portal.orgs.models import Org
from portal.sync import check
from portal.sync.commands import rebuild
from portal.sync.queries import get_receipt
from portal.tiers.commands import assign_tier
from tests.support.change_files import in_days
from tests.support.changes import publish, run
from tests.support.factories import make_key
from tests.support.product import eventually

__all__ = ["publish", "run"]


@pytest.fixture
def act(sessions):
    """Run commands in one transaction, as a view does."""

    def act(do):
        with sessions() as session, transaction(session):
            return do(session)

    return act


@pytest.fixture
def issue(act, cast):
    """Issue a key for Acme; returns its id and its secret."""

    def issue(**values) -> tuple[str, str]:
        def do(session):
            org = session.get_one(Org, cast.acme.id)
            return make_key(session, org=org, actor=cast.ada.actor, **values)

        issued = act(do)
        return issued.key.id, issued.secret.text

    return issue


@pytest.fixture
def revoke(act, cast):
    def revoke(key_id: str, reason: str = "The test says so.") -> None:
        act(
            lambda session: revoke_key(
                session,
                actor=cast.ada.actor,
                key=session.get_one(ApiKey, key_id, with_for_update=True),
                reason=reason,
            )
        )

    return revoke


def test_a_key_works_at_the_gateway_soon_after_it_was_issued(follow, issue):
    gateway = follow("gw-1")

    _, secret = issue()

    assert gateway.comes_to(secret, "allowed")


def test_a_revoked_key_is_refused_everywhere_within_a_second_and_stays_so(
    follow, issue, revoke, sessions
):
    gateways = [follow("gw-1"), follow("gw-2")]
    key_id, secret = issue()
    for gateway in gateways:
        gateway.comes_to(secret, "allowed")

    revoke(key_id)
    revoked_at = time.monotonic()
    for gateway in gateways:
        gateway.comes_to(secret, "key_revoked")
    took = time.monotonic() - revoked_at

    def receipt():
        with sessions() as session:
            return get_receipt(session, "key", key_id)

    assert took < 1
    eventually(lambda: receipt().is_complete)
    assert receipt().count == "2 of 2 gateways"


def test_a_suspended_organisation_is_refused_until_it_is_lifted(follow, issue, act, cast):
    gateway, (_, secret) = follow("gw-1"), issue()
    gateway.comes_to(secret, "allowed")

    act(lambda s: suspend_org(s, actor=CLI, org=s.get_one(Org, cast.acme.id), reason="Abuse."))
    assert gateway.comes_to(secret, "org_suspended")

    act(lambda s: lift_suspension(s, actor=CLI, org=s.get_one(Org, cast.acme.id), reason="Over."))
    assert gateway.comes_to(secret, "allowed")


def test_another_tier_brings_its_limits_and_keeps_what_is_used(follow, issue, act, cast):
    gateway, (_, secret) = follow("gw-1"), issue()
    gateway.comes_to(secret, "allowed")

    def quota() -> tuple[int, int]:
        limits = gateway.ask(secret).limits
        found = next(each for each in limits if each.metric == "requests")
        return found.quota, found.used

    before = quota()
    act(
        lambda s: assign_tier(
            s, actor=CLI, org=s.get_one(Org, cast.acme.id), tier="build", reason="Grown."
        )
    )

    eventually(lambda: quota()[0] != before[0])
    assert before[0] == 1000
    assert quota()[0] == 2000
    assert quota()[1] >= 1, "moving resets nothing"


def test_the_published_limit_is_the_one_that_refuses(follow, issue):
    gateway, (_, secret) = follow("gw-1"), issue()
    gateway.comes_to(secret, "allowed")

    decisions = [gateway.ask(secret, input_tokens=120_000) for _ in range(6)]

    assert [bool(decision) for decision in decisions] == [True] * 4 + [False] * 2
    refusing = decisions[-1].refusing
    assert [(each.name, each.quota) for each in refusing] == [
        ("start.fable-5.input_tokens.1m", 500_000)
    ]


@pytest.fixture
def limit(follow, issue):
    """What a gateway answers about Acme's requests to Fable 5: the quota, and the change ahead."""
    gateway, (_, secret) = follow("gw-1"), issue()
    gateway.comes_to(secret, "allowed")

    def limit() -> tuple[int, str | None]:
        decision = gateway.ask(secret)
        quota = next(each.quota for each in decision.limits if each.metric == "requests")
        ahead = dict(decision.headers()).get("Plimsoll-Limit-Change")
        return quota, ahead and ahead.partition(";")[0]

    return limit


def fewer_requests(**values):
    row = {"tier": "start", "model": "fable-5", "metric": "requests", "kind": "bucket"}
    return {
        "title": "Fewer requests",
        "reason": "Room for all.",
        "rows": [{**row, "period": 60, "quota": 700}],
        **values,
    }


def test_an_emergency_cut_is_in_force_at_once_and_until_it_is_ended(clock, limit, publish, run):
    number = publish(fewer_requests(**{"class": "emergency_cut", "expires_at": in_days(3)}))
    eventually(lambda: limit() == (700, None))

    run("changes", "withdraw", number, "--reason", "It is over.")

    eventually(lambda: limit() == (1000, None))


def test_a_tightening_holds_from_its_instant_unless_it_is_held_before(clock, limit, publish, run):
    number = publish(fewer_requests(effective_at=in_days(30)))
    eventually(lambda: limit() == (1000, str(number)))
    run("changes", "hold", number, "--reason", "A mistake.")
    eventually(lambda: limit() == (1000, None))

    clock.advance(days=30)
    run("changes", "release", number)
    eventually(lambda: limit() == (1000, str(number)))

    # It was held with its whole notice left, and so that is what it has again.
    clock.advance(days=30)
    eventually(lambda: limit() == (700, None))


def test_a_new_epoch_is_followed_without_a_refusal_between(follow, issue, act):
    gateway, (_, secret) = follow("gw-1"), issue()
    gateway.comes_to(secret, "allowed")

    act(lambda session: rebuild(session, actor=CLI))
    _, later = issue(name="Issued after the rebuild")

    seen: set[str] = set()

    def both_work() -> bool:
        seen.add(gateway.code(secret))
        return gateway.code(later) == "allowed"

    eventually(both_work, seconds=20)
    assert seen == {"allowed"}


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_many_acts_at_once_leave_gateway_and_portal_with_one_state(
    follow, issue, revoke, sessions, cast
):
    gateway = follow("gw-1")
    made: list[tuple[str, str]] = []

    def issue_and_revoke(worker: int) -> None:
        for number in range(5):
            key = issue(name=f"Key {worker}.{number}")
            made.append(key)
            if number % 2:
                revoke(key[0])

    workers = [threading.Thread(target=issue_and_revoke, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    with sessions() as session, snapshot(session):
        assert check.check(session).is_clean
        states = {key.id: key.revoked_at is not None for key in session.query(ApiKey)}
    for key_id, secret in made:
        assert gateway.comes_to(secret, "key_revoked" if states[key_id] else "allowed")
