import threading

import pytest

from portal.core.errors import Conflict

pytestmark = pytest.mark.usefixtures("cast", "clock")

ADDRESS = "/orgs/acme/tier/scale/request"
FIELD = "use:opus-5:requests:bucket:60"


def posted(visit, form, way):
    """Where the answer leads: the address holds an id that nobody knows before."""
    data = {name: values for name, values in form.values.items() if values}
    answer = visit.client.post(form.action, data=data, headers=way.headers)
    return answer.headers.get("HX-Redirect") or answer.headers.get("Location")


@pytest.fixture
def filled(today):
    """A form with all that is needed."""

    def act(visit, **values):
        form = visit.get(ADDRESS).form("request-form")
        given = {"purpose": "A weather service.", FIELD: "3,000", "wanted_on": today.isoformat()}
        return form.fill(given | values)

    return act


def test_a_request_is_sent_while_requirements_are_open(as_ada, filled, both_ways, requests):
    to = posted(as_ada, filled(as_ada), both_ways)

    (row,) = requests()
    assert to == f"/orgs/acme/requests/{row.id}"
    page = as_ada.get(to)
    assert page.flash == "Your request for Scale is sent."
    assert (row.tier, row.state, row.contact) == ("scale", "submitted", "ada@example.com")
    assert row.expected == [
        {"model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60, "amount": 3000}
    ]
    assert "Your request is submitted and waits for our staff." in page.text
    assert page.table("Use expected").row("Opus 5 · Requests per minute")["Expected"] == "3,000"


def test_the_act_is_in_the_journal_and_the_staff_get_a_mail(send, journal, outbox, cast):
    request_id = send()

    event, mail = journal()[-1], outbox()[0]

    assert (event.tag, event.actor_id, event.subject_id) == (
        "org:upgrade:requested",
        cast.ada.user_id,
        request_id,
    )
    assert (mail.to, mail.subject) == ("root@example.com", "Acme requests Scale")
    assert f"/admin/requests/{request_id}" in mail.text
    assert "within 3 working days" in mail.text


def test_money_is_given_in_dollars(as_ada, filled, both_ways, requests):
    field = next(name for name in filled(as_ada).names if "spend" in name)

    posted(as_ada, filled(as_ada, **{field: "2,500", FIELD: ""}), both_ways)

    assert requests()[0].expected[0]["amount"] == 2_500_000_000


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("purpose", {"purpose": ""}),
        ("purpose", {"purpose": "x" * 5001}),
        ("purpose", {"purpose": "\u202egnp"}),
        ("wanted_on", {"wanted_on": ""}),
        ("wanted_on", {"wanted_on": "soon"}),
        ("wanted_on", {"wanted_on": "2020-01-01"}),
        ("contact", {"contact": ""}),
        ("contact", {"contact": "x" * 321}),
        (FIELD, {FIELD: "many"}),
        (FIELD, {FIELD: "-1"}),
        (FIELD, {FIELD: "9999999999999999"}),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_sends_nothing(
    as_ada, both_ways, filled, requests, outbox, field, values
):
    page = filled(as_ada, **values).submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == [field]
    assert requests() == []
    assert outbox() == []


def test_without_any_use_nothing_is_sent(as_ada, both_ways, filled, requests):
    page = filled(as_ada, **{FIELD: ""}).submit(htmx=both_ways.is_htmx, status=422)

    assert "Say how much you expect to use, of one limit at least." in page.text
    assert requests() == []


def test_a_second_request_for_the_tier_is_refused_while_one_is_open(
    as_ada, both_ways, filled, send, requests
):
    form = filled(as_ada)
    send()

    page = form.submit(htmx=both_ways.is_htmx, status=422)

    assert "A request for this tier is open already." in page.text
    assert len(requests()) == 1


def test_whoever_comes_again_is_led_to_the_open_request(as_ada, send):
    request_id = send()

    as_ada.get(ADDRESS, redirect=f"/orgs/acme/requests/{request_id}")


def test_of_many_sent_at_once_one_is_kept(send, requests):
    start, results = threading.Barrier(4), []

    def one():
        start.wait()
        try:
            results.append(bool(send()))
        except Conflict as error:
            results.append(error.code)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(map(str, results)) == ["True", "request_open", "request_open", "request_open"]
    assert len(requests()) == 1


def test_a_manager_may_too(send, mia, requests):
    send(mia)

    assert requests()[0].created_by == mia.user_id


def test_a_tier_that_is_not_entered_on_request_is_refused(as_ada):
    page = as_ada.get("/orgs/acme/tier/build/request", status=409)

    assert "Build is not entered on request" in page.text
    as_ada.get("/orgs/acme/tier/nope/request", status=422)


@pytest.mark.parametrize(("who", "status"), [("ben", 403), ("cleo", 403), ("dan", 404)])
def test_who_may_not_request_cannot(visit, client, cast, requests, both_ways, who, status):
    cast.sign_in(client, getattr(cast, who))
    token = visit.get("/").form("Sign out").values["csrf_token"][0]

    visit.get(ADDRESS, status=status)
    visit.post(ADDRESS, data={"csrf_token": token}, htmx=both_ways.is_htmx, status=status)

    assert requests() == []
