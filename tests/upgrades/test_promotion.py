"""Promotion by itself, on a catalogue of the tests' own: age alone decides, so that time can be moved."""

import json
import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select

from portal.accounts.models import SecondFactor, User
from portal.core.actor import JOB
from portal.core.db import transaction, wakeup_of
from portal.core.seal import SyncRecord
from portal.orgs.commands import suspend_org
from portal.orgs.models import Org
from portal.tiers.commands import assign_tier
from portal.tiers.models import AssignmentKind, TierAssignment
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import list_assignments
from portal.upgrades import jobs as upgrade_jobs
from portal.upgrades.jobs import Promoter, promote_all
from portal.upgrades.promotion import promote
from tests.support import cast as casting
from tests.support.factories import add_member, make_key, make_org, make_user
from tests.support.wire import Line, Wire, enrol
from tests.support.worlds import publish

WORKERS = 4


def tier(slug, rank, entry="automatic", **requirements):
    return {
        "slug": slug,
        "name": slug.capitalize(),
        "rank": rank,
        "entry": entry,
        "description": f"The tier {slug}.",
        "requirements": requirements,
        "keys_max": None,
    }


def catalogue(*tiers):
    slugs = [each["slug"] for each in tiers]
    rows = [
        {"tier": slug, "model": "m", "metric": "requests", "kind": "bucket", "period": 60}
        | {"quota": 100 * (1 + place), "burst": 100 * (1 + place)}
        for place, slug in enumerate(slugs)
    ]
    return {
        "format": 1,
        "source": "The tests.",
        "provider": "Tests",
        "title": "Limits",
        "reason": "To promote by age.",
        "models": [{"slug": "m", "name": "M"}],
        "tiers": list(tiers),
        "offers": [{"tier": slug, "model": "m"} for slug in slugs],
        "counting": {"reserve": {}, "texts": {}},
        "rows": rows,
    }


BY_AGE = (
    tier("start", 1),
    tier("build", 2, account_age_days=7),
    tier("port", 3, account_age_days=30),
    tier("scale", 4, entry="request", account_age_days=1),
)


@pytest.fixture
def begin(sessions, settings, clock):
    """Publish a catalogue and bring the people."""

    def act(*tiers):
        publish(sessions, settings, catalogue(*(tiers or BY_AGE)))
        casting.bring(sessions)
        return casting.find(sessions)

    return act


@pytest.fixture
def steps(sessions):
    def read(org):
        with sessions() as session:
            found = list_assignments(session, org.id)
            return [(step.tier, step.kind.value) for step in found[::-1]]

    return read


@pytest.fixture
def writing(sessions):
    """`with writing() as org: …`: one transaction on an organisation's row."""

    @contextmanager
    def write(organisation):
        with sessions() as session, transaction(session):
            yield session, session.get_one(Org, organisation.id, with_for_update=True)

    return write


def test_on_the_day_an_organisation_is_promoted_and_not_before(
    begin, sessions, clock, steps, outbox, journal
):
    cast = begin()
    clock.advance(days=7, seconds=-1)
    assert promote_all(sessions) == 0

    clock.advance(seconds=1)
    assert promote_all(sessions) == 2

    assert steps(cast.acme) == [("start", "start"), ("build", "automatic")]
    (mail,) = [mail for mail in outbox() if mail.to == "ada@example.com"]
    assert mail.subject == "Acme is now on Build"
    assert "Everything that Build requires is met: an account 7 days old." in mail.text
    event = next(
        event
        for event in journal()
        if event.org_id == cast.acme.id and event.tag == "org:tier:assigned"
    )
    assert (event.via, event.details["kind"], event.details["before"]) == (
        "job",
        "automatic",
        "start",
    )
    with sessions() as session:
        assert '"tier":"build"' in session.get_one(SyncRecord, ("org", cast.acme.id)).data


def test_it_leads_to_the_highest_tier_whose_requirements_are_met(begin, sessions, clock, steps):
    cast = begin()
    clock.advance(days=30)

    promote_all(sessions)

    assert steps(cast.acme) == [("start", "start"), ("port", "automatic")]


def test_a_tier_on_request_is_entered_by_no_job(begin, sessions, clock, steps):
    cast = begin(tier("start", 1), tier("scale", 2, entry="request"))

    assert promote_all(sessions) == 0
    assert steps(cast.acme) == [("start", "start")]


def test_what_nothing_reports_yet_counts_as_not_met(begin, sessions, clock):
    begin(tier("start", 1), tier("build", 2, paid_microusd=1))
    clock.advance(days=365)

    assert promote_all(sessions) == 0


def test_days_of_use_promote_as_soon_as_the_last_is_reported(begin, app, sessions, clock, steps):
    cast = begin(tier("start", 1), tier("build", 2, active_days=2))
    with sessions() as session, transaction(session):
        key = make_key(session, org=session.get_one(Org, cast.acme.id)).key.id
    line, promoter = Line(Wire(app, enrol(sessions)), clock), Promoter(sessions)
    for requests in (1, 0):
        line.send([key, "m", {"requests": requests, "refused": {"x": 1}}, line.minute])
        assert promoter.run() == 0
        clock.advance(days=1)
    # From here a look at those alone that anything happened to.
    promoter._all_again_at = float("inf")

    line.send([key, "m", {"requests": 1}, line.minute])

    assert promoter.run() == 1
    assert steps(cast.acme)[-1] == ("build", "automatic")


def test_one_confirmed_address_and_a_second_factor_of_every_owner(
    begin, sessions, clock, steps, writing
):
    cast = begin(tier("start", 1), tier("build", 2, email_confirmed=True, second_factor=True))
    with writing(cast.acme) as (session, org):
        other = make_user(session, confirmed=False)
        add_member(session, org=org, user=other, role="owner")
        session.add(SecondFactor(user_id=other.id, secret="x", confirmed_at=clock.at, last_step=0))
    assert promote_all(sessions) == 0

    with writing(cast.acme) as (session, _):
        ada = cast.ada.user_id
        session.add(SecondFactor(user_id=ada, secret="x", confirmed_at=clock.at, last_step=0))
    assert promote_all(sessions) == 1

    assert steps(cast.acme)[-1] == ("build", "automatic")


def test_an_unconfirmed_organisation_waits(begin, sessions, writing):
    cast = begin(tier("start", 1), tier("build", 2, email_confirmed=True))
    promote_all(sessions)
    with writing(cast.acme) as (session, _):
        lone = make_org(session, owner=make_user(session, confirmed=False))
    assert promote_all(sessions) == 0

    with writing(lone) as (session, _):
        owner = session.scalars(select(User).where(User.email_confirmed_at.is_(None))).one()
        owner.email_confirmed_at = owner.created_at

    assert promote_all(sessions) == 1


def test_it_never_leads_down(begin, sessions, clock, steps, writing):
    cast = begin()
    with writing(cast.acme) as (session, org):
        values = {"tier": "scale", "reason": "So.", "kind": AssignmentKind.REQUEST}
        assign_tier(session, actor=cast.root.actor, org=org, **values)
    clock.advance(days=365)

    promote_all(sessions)

    assert steps(cast.acme) == [("start", "start"), ("scale", "request")]


@pytest.fixture
def stop(sessions, writing, clock):
    """Have a person decide about Acme in one of the ways that promotion does not go past."""

    def act(cast, way):
        with writing(cast.acme) as (session, org):
            on = {"actor": cast.root.actor, "org": org}
            if way == "assigned":
                assign_tier(session, **on, tier="build", reason="So.")
            elif way == "planned":
                at = clock.at.replace(day=28)
                decision = TierDecision(tier="scale", reason="So.", effective_at=at)
                decide_tier(session, **on, decision=decision)
            else:
                suspend_org(session, **on, reason="Spam.")

    return act


WAYS = ["assigned", "planned", "suspended"]


@pytest.mark.parametrize("way", WAYS)
def test_it_goes_past_no_decision_of_the_staff(begin, sessions, clock, steps, stop, way):
    cast = begin()
    stop(cast, way)
    before = steps(cast.acme)
    clock.advance(days=40)

    assert promote_all(sessions) == 1
    assert steps(cast.acme) == before


@pytest.mark.parametrize("way", WAYS)
def test_nor_past_one_made_between_the_look_and_the_act(
    begin, sessions, clock, steps, stop, writing, way
):
    cast = begin()
    clock.advance(days=40)
    stop(cast, way)
    before = steps(cast.acme)

    with writing(cast.acme) as (session, org):
        assert promote(session, actor=JOB, org=org) is None

    assert steps(cast.acme) == before


def test_run_by_many_at_once_it_promotes_once(begin, sessions, clock, steps, outbox):
    cast = begin()
    clock.advance(days=8)
    start, results = threading.Barrier(WORKERS), []

    def one():
        start.wait()
        results.append(promote_all(sessions))

    threads = [threading.Thread(target=one) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sum(results) == 2
    for org in (cast.acme, cast.delta):
        assert steps(org) == [("start", "start"), ("build", "automatic")]
    assert [mail.subject for mail in outbox()].count("Acme is now on Build") == 1


def test_a_pass_that_finds_nothing_does_not_write(begin, sessions, clock):
    begin()
    clock.advance(days=8)
    promoter = Promoter(sessions)
    promoter.run()
    before = wakeup_of(sessions).count

    assert (promoter.run(), promote_all(sessions)) == (0, 0)

    assert wakeup_of(sessions).count == before


def test_one_that_fails_holds_up_no_other(begin, sessions, clock, steps, monkeypatch, caplog):
    from portal.core.errors import Conflict

    cast = begin()
    clock.advance(days=8)
    real = upgrade_jobs.promote

    def failing(session, *, actor, org):
        if org.id == cast.acme.id:
            raise Conflict("not today")
        return real(session, actor=actor, org=org)

    promoter = Promoter(sessions)
    monkeypatch.setattr(upgrade_jobs, "promote", failing)
    assert promoter.run() == 1
    assert "not today" in caplog.text

    monkeypatch.setattr(upgrade_jobs, "promote", real)
    assert promoter.run() == 1
    assert steps(cast.acme)[-1] == ("build", "automatic")


# ---- looks that are not at all ----


@pytest.fixture
def seldom(monkeypatch):
    """After the first look at all organisations, there is none for a long time."""
    monkeypatch.setattr(upgrade_jobs, "SHARE", 1e-9)


def test_between_looks_at_all_time_alone_promotes(begin, sessions, clock, seldom):
    begin()
    promoter = Promoter(sessions)
    assert promoter.run() == 0

    clock.advance(days=7)
    assert promoter.run() == 2
    clock.advance(days=23)
    assert promoter.run() == 2


def test_between_looks_at_all_each_act_is_followed_by_a_look(
    begin, sessions, clock, seldom, app, client
):
    from portal.accounts.commands import make_link
    from portal.accounts.models import LinkPurpose

    begin(tier("start", 1), tier("build", 2, email_confirmed=True))
    promoter = Promoter(sessions)
    promoter.run()
    with sessions() as session, transaction(session):
        owner = make_user(session, confirmed=False)
        make_org(session, owner=owner)
        link = make_link(session, user=owner, purpose=LinkPurpose.CONFIRM_EMAIL)
    clock.advance(days=1)
    assert promoter.run() == 0

    assert client.get(f"/confirm/{link}").status_code == 303
    assert promoter.run() == 1


def test_a_change_of_what_is_required_is_followed_by_a_look_at_all(
    begin, sessions, clock, seldom, app, tmp_path
):
    begin()
    promoter = Promoter(sessions)
    clock.advance(days=2)
    assert promoter.run() == 0
    file = tmp_path / "change.json"
    eased = {**tier("build", 2, account_age_days=1)}
    file.write_text(json.dumps({"title": "Sooner", "reason": "Trust.", "tiers": [eased]}))
    done = app.test_cli_runner().invoke(args=["changes", "publish", str(file)])
    assert done.exit_code == 0, done.output

    assert promoter.run() == 2


def test_the_cost_of_a_look_does_not_grow_with_the_organisations(
    begin, sessions, clock, seldom, count_queries
):
    begin()
    promoter = Promoter(sessions)
    with sessions() as session, transaction(session):
        for _ in range(20):
            make_org(session)
    promoter.run()
    clock.advance(minutes=5)

    with count_queries() as queries:
        assert promoter.run() == 0

    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(TierAssignment)) == 22
    assert len(queries) < 12, queries.statements
