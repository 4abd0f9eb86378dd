"""What the organisation does with its request: reads, answers, withdraws."""

import pytest

from portal.upgrades.commands import answer, ask_question, decline, take_up

pytestmark = pytest.mark.usefixtures("cast", "clock")


@pytest.fixture
def questioned(send, step):
    """A request with a question; returns its address."""
    request_id = send()
    step(take_up, request_id)
    step(ask_question, request_id, text="How many users?")
    return request_id


@pytest.fixture
def address(questioned):
    return f"/orgs/acme/requests/{questioned}"


def test_an_answer_reaches_the_staff(
    as_ada, both_ways, address, questioned, read, said, outbox, journal
):
    form = as_ada.get(address).form("answer-form").fill(text="Two\nhundred.")

    page = form.submit(htmx=both_ways.is_htmx, redirect=address)

    mail = outbox()[0]
    assert page.flash == "Your answer is sent."
    assert read(questioned).state == "answered"
    assert said() == [(True, "How many users?"), (False, "Two\nhundred.")]
    assert (mail.to, mail.subject) == ("root@example.com", "Acme answered about Scale")
    assert journal()[-1].tag == "org:upgrade:answered"


def test_the_page_says_whom_it_waits_for(as_ada, address):
    page = as_ada.get(address)

    assert "Our staff asked you a question. The request waits for your answer." in page.text
    assert "root@example.com" not in page.html


@pytest.mark.parametrize("bad", ["", "  ", "x" * 5001, "\u202egnp"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_answer_without_shape_is_not_sent(as_ada, both_ways, address, questioned, read, bad):
    form = as_ada.get(address).form("answer-form").fill(text=bad)

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["text"]
    assert read(questioned).state == "question asked"


def test_a_request_is_withdrawn(as_ada, both_ways, address, questioned, read, outbox, journal):
    form = as_ada.get(f"{address}/withdraw").form("withdraw-form").fill(reason="No longer.")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/orgs/acme/tier")

    row, mail = read(questioned), outbox()[0]
    assert page.flash == "Your request is withdrawn."
    assert (row.state, row.reason, row.is_open) == ("withdrawn", "No longer.", False)
    assert (mail.to, mail.subject) == ("root@example.com", "Acme withdrew its request for Scale")
    assert journal()[-1].tag == "org:upgrade:withdrawn"


def test_without_a_reason_nothing_is_withdrawn(as_ada, both_ways, address, questioned, read):
    form = as_ada.get(f"{address}/withdraw").form("withdraw-form").fill(reason="")

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == ["reason"]
    assert read(questioned).state == "question asked"


@pytest.mark.parametrize("act", ["answer", "withdraw"])
def test_what_is_decided_takes_no_more(as_ada, both_ways, address, questioned, step, read, act):
    page = as_ada.get(address if act == "answer" else f"{address}/withdraw")
    form = page.form(f"{act}-form").fill({"text" if act == "answer" else "reason": "Late."})
    step(decline, questioned, reason="Too early.")

    answered = form.submit(htmx=both_ways.is_htmx, status=409)

    assert "This request was declined by our staff on" in answered.text
    assert read(questioned).reason == "Too early."


def test_an_answer_to_a_question_that_was_answered_meanwhile_is_no_answer_to_the_next(
    as_ada, both_ways, address, questioned, step, mia, said
):
    form = as_ada.get(address).form("answer-form").fill(text="Two hundred.")
    step(answer, questioned, mia, text="About two hundred.", seen=3)
    step(ask_question, questioned, text="And how many servers?")
    before = said()

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert said() == before
    assert "This request was asked a question by our staff on" in page.text
    assert "And how many servers?" in page.text
    again = page.form("answer-form")
    assert [text.strip() for text in again.values["text"]] == ["Two hundred."]
    again.fill(text="Three.").submit(htmx=both_ways.is_htmx, redirect=address)
    assert said()[-1] == (False, "Three.")


@pytest.mark.parametrize("act", ["answer", "withdraw"])
@pytest.mark.parametrize(("who", "status"), [("ben", 403), ("cleo", 403), ("dan", 404)])
def test_who_may_not_request_neither_answers_nor_withdraws(
    visit, client, cast, both_ways, address, questioned, read, act, who, status
):
    cast.sign_in(client, getattr(cast, who))
    token = visit.get("/").form("Sign out").values["csrf_token"][0]
    data = {"csrf_token": token, "text": "Mine.", "reason": "Mine."}

    visit.post(f"{address}/{act}", data=data, htmx=both_ways.is_htmx, status=status)

    assert read(questioned).state == "question asked"


def test_members_read_the_request_and_outsiders_do_not(visit, client, cast, address):
    cast.sign_in(client, cast.cleo)
    page = visit.get(address)
    assert "An owner or manager of Acme can answer it." in page.text

    cast.sign_in(client, cast.dan)
    visit.get(address, status=404)
    visit.get(address.replace("acme", "delta"), status=404)


def test_a_decision_is_read_with_its_reason(as_ada, address, questioned, step, clock):
    clock.advance(days=2, hours=3)
    step(decline, questioned, reason="Too early.")

    page = as_ada.get(address)

    assert "Your request was declined after 2 days 3 hours." in page.text
    assert "Too early." in page.text
