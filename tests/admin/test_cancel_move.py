import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.jobs import run_moves
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.queries import find_planned_move, list_moves

pytestmark = pytest.mark.usefixtures("cast", "clock")

PAGE = "/admin/orgs/acme"


@pytest.fixture
def planned(sessions, cast, clock):
    """The address at which Acme's planned move is cancelled."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        at = clock.at.replace(day=20)
        decision = TierDecision(tier="build", reason="They grow.", effective_at=at)
        move = decide_tier(session, actor=cast.root.actor, org=org, decision=decision)
        return f"/admin/orgs/acme/moves/{move.id}/cancel"


@pytest.fixture
def is_planned(sessions, cast):
    def read():
        with sessions() as session:
            return find_planned_move(session, cast.acme.id) is not None

    return read


def test_the_staff_cancels_a_planned_move_and_it_never_happens(
    as_root, both_ways, planned, is_planned, sessions, clock, tier
):
    form = as_root.get(planned).form("cancel-move-form").fill(reason="A mistake.")

    page = form.submit(htmx=both_ways.is_htmx, redirect=PAGE)

    assert page.flash == "The move of Acme is cancelled."
    clock.advance(days=40)
    assert run_moves(sessions) == 0
    assert (tier(), is_planned()) == ("start", False)


def test_the_owners_and_the_journal_hear_of_it(as_root, planned, outbox, journal, cast):
    as_root.get(planned).form("cancel-move-form").fill(reason="A mistake.").submit(redirect=PAGE)

    (mail, _) = outbox()
    event = next(each for each in journal() if each.tag == "org:tier:cancelled")
    assert (mail.to, mail.subject) == (cast.ada.email, "Acme stays on Start")
    assert "A mistake." in mail.text
    assert event.details == {"tier": "build", "reason": "A mistake."}


def test_a_move_that_was_cancelled_is_not_cancelled_again(
    as_root, both_ways, planned, sessions, cast
):
    form = as_root.get(planned).form("cancel-move-form").fill(reason="A mistake.")
    form.submit(redirect=PAGE)

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert "cancelled by root@example.com on 2026-11-02 12:00:00 UTC" in page.text
    with sessions() as session:
        assert len(list_moves(session, cast.acme.id)) == 1


def test_a_move_that_was_made_cannot_be_cancelled(
    as_root, both_ways, planned, sessions, clock, tier
):
    form = as_root.get(planned).form("cancel-move-form").fill(reason="Too late.")
    clock.advance(days=18)
    run_moves(sessions)

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert "was carried out on 2026-11-20 12:00:00 UTC" in page.text
    assert tier() == "build"


@pytest.mark.parametrize("who", ["ada", "ben", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, token, planned, is_planned, who
):
    cast.sign_in(client, getattr(cast, who))

    visit.get(planned, status=404)
    visit.post(planned, data={"csrf_token": token(), "reason": "Mine."}, status=404)

    assert is_planned()


def test_it_is_found_at_its_own_organisation_only(as_root, planned):
    as_root.get(planned.replace("acme", "delta"), status=404)
    as_root.get("/admin/orgs/acme/moves/mov_x/cancel", status=404)


@pytest.mark.parametrize("reason", ["", "x" * 501])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_changes_nothing(
    as_root, both_ways, planned, is_planned, reason
):
    form = as_root.get(planned).form("cancel-move-form").fill(reason=reason)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["reason"]
    assert is_planned()
