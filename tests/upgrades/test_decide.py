"""What the staff does with a request: takes it up, asks, approves, declines."""

import threading
from datetime import UTC, datetime

import pytest

from portal.core.db import transaction
from portal.core.errors import Conflict
from portal.orgs.models import Org
from portal.tiers.moves import TierDecision, decide_tier
from portal.upgrades.commands import answer, approve, ask_question, decline, take_up, withdraw
from portal.upgrades.errors import RequestMoved

pytestmark = pytest.mark.usefixtures("cast", "clock")

ACTS = ("take-up", "ask", "approve", "decline")


@pytest.fixture
def taken_up(send, step):
    """A request in review; returns its id."""

    def act():
        request_id = send()
        step(take_up, request_id)
        return request_id

    return act


@pytest.fixture
def decide(sessions, cast):
    """Have one of the staff decide about Acme's tier."""

    def act(actor, **values):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id, with_for_update=True)
            decision = TierDecision(reason="So.", **values)
            decide_tier(session, actor=actor, org=org, decision=decision)

    return act


def form_of(visit, request_id, act, **values):
    form = visit.get(f"/admin/requests/{request_id}/{act}").form("request-form")
    return form.fill(values)


def test_a_request_is_taken_up(as_root, both_ways, send, read, journal):
    request_id = send()
    to = f"/admin/requests/{request_id}"

    page = form_of(as_root, request_id, "take-up").submit(htmx=both_ways.is_htmx, redirect=to)

    assert page.flash == "The request of Acme is in review."
    assert read(request_id).state == "in review"
    assert journal()[-1].tag == "org:upgrade:taken_up"


def test_a_question_reaches_the_organisation(as_root, both_ways, taken_up, read, said, outbox):
    request_id = taken_up()
    form = form_of(as_root, request_id, "ask", text="How many users?")

    form.submit(htmx=both_ways.is_htmx, redirect=f"/admin/requests/{request_id}")

    mail = outbox()[0]
    assert read(request_id).state == "question asked"
    assert said() == [(True, "How many users?")]
    assert (mail.to, mail.subject) == ("ada@example.com", "A question about your request for Scale")
    assert "How many users?" in mail.text
    assert f"/orgs/acme/requests/{request_id}" in mail.text


def test_an_approval_moves_the_organisation_in_the_same_act(
    as_root, both_ways, ready, taken_up, read, steps, outbox, journal
):
    request_id = taken_up()
    form = form_of(as_root, request_id, "approve", reason="A good use.")

    page = form.submit(htmx=both_ways.is_htmx, redirect=f"/admin/requests/{request_id}")

    row, step_ = read(request_id), steps()[0]
    assert "It was approved after" in page.text
    assert (row.state, row.reason) == ("approved", "A good use.")
    assert (step_.tier, step_.kind, step_.reason) == ("scale", "request", "A good use.")
    assert [event.tag for event in journal()[-2:]] == ["org:upgrade:approved", "org:tier:assigned"]
    mail = outbox()[0]
    assert (mail.to, mail.subject) == ("ada@example.com", "Acme is now on Scale")
    assert "A good use." in mail.text


def test_a_manager_who_sent_it_is_told_beside_the_owners(send, step, mia, ready, outbox):
    request_id = send(mia)
    step(take_up, request_id)
    step(approve, request_id, reason="A good use.")

    told = {mail.to: mail.subject for mail in outbox()[:2]}

    assert told == {
        "ada@example.com": "Acme is now on Scale",
        "mia@example.com": "Approved: Acme is on Scale",
    }


def test_an_approval_waits_for_what_the_tier_requires(
    as_root, both_ways, taken_up, read, tier, outbox
):
    request_id = taken_up()
    before = len(outbox())
    form = form_of(as_root, request_id, "approve", reason="A good use.")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "Account 0 of 30 days old" in page.text
    assert "Second factor: not yet" in page.text
    assert (read(request_id).state, tier(), len(outbox())) == ("in review", "start", before)


def test_a_decline_carries_its_reason_to_the_organisation(
    as_root, both_ways, taken_up, read, tier, outbox
):
    request_id = taken_up()
    form = form_of(as_root, request_id, "decline", reason="Too early.")

    form.submit(htmx=both_ways.is_htmx, redirect=f"/admin/requests/{request_id}")

    mail = outbox()[0]
    assert (read(request_id).state, tier()) == ("declined", "start")
    assert (mail.to, mail.subject) == (
        "ada@example.com",
        "Declined: the request of Acme for Scale",
    )
    assert "Too early." in mail.text


def test_after_a_decision_another_request_may_be_sent(send, step, requests):
    request_id = send()
    step(take_up, request_id)
    step(decline, request_id, reason="Too early.")

    send()

    assert [row.state for row in requests()] == ["declined", "submitted"]


@pytest.mark.parametrize(
    ("act", "field"), [("ask", "text"), ("approve", "reason"), ("decline", "reason")]
)
@pytest.mark.parametrize("bad", ["", "  ", "x" * 5001, "a\x00b", "\u202egnp"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_and_changes_nothing(
    as_root, both_ways, taken_up, ready, read, act, field, bad
):
    request_id = taken_up()

    page = form_of(as_root, request_id, act, **{field: bad}).submit(
        htmx=both_ways.is_htmx, status=422
    )

    assert list(page.errors) == [field]
    assert read(request_id).state == "in review"


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("who", ["ada", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, both_ways, taken_up, read, act, who
):
    request_id = taken_up()
    cast.sign_in(client, getattr(cast, who))
    token = visit.get("/").form("Sign out").values["csrf_token"][0]
    data = {"csrf_token": token, "reason": "Mine.", "text": "Mine.", "seen": "2"}

    for path in (f"/admin/requests/{request_id}/{act}", f"/admin/requests/{request_id}"):
        visit.get(path, status=404)
    path = f"/admin/requests/{request_id}/{act}"
    visit.post(path, data=data, htmx=both_ways.is_htmx, status=404)

    assert read(request_id).state == "in review"


@pytest.mark.parametrize("act", ACTS)
def test_a_request_that_is_not_there_is_not_found(as_root, act):
    as_root.get(f"/admin/requests/upr_none/{act}", status=404)


# ---- two at once ----


TOLD = "by rita@example.com on 2026-11-02 12:00:00 UTC, before you. Nothing was changed now."


@pytest.mark.parametrize("mine", ["ask", "approve", "decline"])
@pytest.mark.parametrize(
    ("theirs", "was"),
    [(approve, "was approved"), (decline, "was declined"), (ask_question, "was asked a question")],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_second_is_told_who_what_and_when(
    as_root, both_ways, ready, taken_up, step, rita, read, outbox, mine, theirs, was
):
    request_id = taken_up()
    words = "text" if mine == "ask" else "reason"
    form = form_of(as_root, request_id, mine, **{words: "Root says so."})
    values = {"text": "Why?"} if theirs is ask_question else {"reason": "Rita says so."}
    step(theirs, request_id, rita, **values)
    before = (read(request_id).state, len(outbox()))

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert f"This request {was} {TOLD}" in page.text
    assert (read(request_id).state, len(outbox())) == before


@pytest.mark.parametrize("act", ["ask", "approve", "decline"])
def test_the_decision_is_made_on_the_page_that_led_to_it(
    as_root, both_ways, ready, taken_up, step, rita, read, act
):
    request_id = taken_up()
    page = as_root.get(f"/admin/requests/{request_id}")
    link = {"ask": "Ask a question", "approve": "Approve", "decline": "Decline"}[act]
    href = page.link(link)
    step(ask_question, request_id, rita, text="Why?")
    words = {"text" if act == "ask" else "reason": "Root says so."}

    form = as_root.get(href).form("request-form").fill(words)
    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert f"This request was asked a question {TOLD}" in page.text
    assert read(request_id).state == "question asked"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"tier": "start", "for_abuse": True}, "Acme was moved to Start"),
        (
            {"tier": "start", "effective_at": datetime(2026, 12, 24, tzinfo=UTC)},
            "A move of Acme to Start on 2026-12-24 00:00:00 UTC was planned",
        ),
    ],
)
def test_an_approval_does_not_go_past_what_was_decided_about_the_tier_meanwhile(
    as_root, both_ways, ready, taken_up, rita, cast, read, tier, decide, values, told
):
    decide(cast.root.actor, tier="build")
    request_id = taken_up()
    form = form_of(as_root, request_id, "approve", reason="A good use.")
    decide(rita, **values)
    before = tier()

    page = form.submit(htmx=both_ways.is_htmx, status=409)

    assert f"{told} {TOLD}" in page.text
    assert (read(request_id).state, tier()) == ("in review", before)


def test_a_form_without_what_was_seen_decides_nothing(as_root, taken_up, ready, read):
    request_id = taken_up()

    form_of(as_root, request_id, "approve", reason="Blind.", seen="").submit(status=409)

    assert read(request_id).state == "in review"


def test_of_many_in_the_same_instant_one_wins(taken_up, step, ready, rita, cast, read, steps):
    request_id = taken_up()
    start, results = threading.Barrier(6), []

    def one(command, actor):
        start.wait()
        try:
            step(command, request_id, actor, seen=2, reason="Mine.")
            results.append("won")
        except RequestMoved as error:
            results.append(error.public)

    people = [(act, who) for act in (approve, decline) for who in (rita, cast.root.actor, rita)]
    threads = [threading.Thread(target=one, args=person) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert results.count("won") == 1
    assert sum("before you" in text for text in results) == 5
    moved = 2 if read(request_id).state == "approved" else 1
    assert len(steps()) == moved


def test_what_was_withdrawn_meanwhile_is_not_approved(as_root, ready, taken_up, step, cast, tier):
    request_id = taken_up()
    form = form_of(as_root, request_id, "approve", reason="A good use.")
    step(withdraw, request_id, cast.ada.actor, reason="No longer.")

    page = form.submit(status=409)

    assert "This request was withdrawn by ada@example.com" in page.text
    assert tier() == "start"


def test_an_organisation_that_is_there_already_is_not_moved_again(
    as_root, ready, taken_up, decide, cast
):
    request_id = taken_up()
    decide(cast.root.actor, tier="scale")

    page = form_of(as_root, request_id, "approve", reason="Too.").submit(status=422)

    assert "Acme is on Scale already, which is no lower." in page.text


def test_the_organisation_is_not_told_the_names_of_the_staff(send, step, rita, cast):
    request_id = send()
    step(take_up, request_id, rita)
    step(decline, request_id, rita, reason="Too early.")

    with pytest.raises(Conflict) as refused:
        step(answer, request_id, cast.ada.actor, text="But.")

    assert "This request was declined by our staff on" in refused.value.public
