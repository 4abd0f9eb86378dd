"""Warnings before the wall: once per threshold and window, by mail and in the portal."""

from datetime import timedelta

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.usage.alerts import USUAL, Alerts, get_alerts, set_alerts
from portal.usage.warning import jobs, warn_all
from tests.support.factories import make_grant
from tests.support.wire import Line, Wire, enrol
from tests.usage.reporting import REQUESTS, bucket, tell

PAGE = "/orgs/acme/usage/warnings"
SPEND = "start.all.spend_microusd.month"
URL = "http://localhost"


@pytest.fixture
def warn(sessions):
    return lambda: warn_all(sessions, url=URL)


@pytest.fixture
def alerts(sessions, cast):
    def read():
        with sessions() as session:
            return get_alerts(session, cast.acme.id)

    return read


@pytest.fixture
def ask_for(sessions, cast):
    def act(*thresholds, by_mail=True):
        with sessions() as session, transaction(session):
            org = session.get_one(Org, cast.acme.id, with_for_update=True)
            wanted = Alerts(thresholds, by_mail)
            set_alerts(session, actor=cast.ben.actor, org=org, alerts=wanted)

    return act


@pytest.fixture
def as_ben(visit, client, cast):
    cast.sign_in(client, cast.ben)
    return visit


@pytest.fixture
def told(outbox):
    """Subjects of the warnings, oldest first, with whom they went to."""
    return lambda: [
        (mail.to.partition("@")[0], mail.subject)
        for mail in reversed(outbox())
        if mail.event.startswith("usage:")
    ]


def spend(clock, used):
    # The end of November 2026.
    return {
        "used": used,
        "quota": 500_000_000,
        "resets_at": 1_796_083_200,
        "at": int(clock.at.timestamp()),
    }


def test_those_who_can_act_are_mailed_once_per_threshold(line, cast, clock, warn, told):
    tell(line, cast.acme.id, SPEND, spend(clock, 400_000_000))
    assert (warn(), warn()) == (1, 0)
    first = told()
    tell(line, cast.acme.id, SPEND, spend(clock, 420_000_000))
    assert warn() == 0
    tell(line, cast.acme.id, SPEND, spend(clock, 475_000_000))
    assert (warn(), warn()) == (1, 0)

    subject = "Acme: 80 % of All models together · spend per calendar month"
    assert sorted(first) == [("ada", subject), ("ben", subject)]
    assert [text for _, text in told()[2:]] == [subject.replace("80", "95")] * 2


def test_the_mail_says_how_much_until_when_and_where_it_is_switched_off(
    line, cast, clock, warn, outbox
):
    tell(line, cast.acme.id, SPEND, spend(clock, 400_123_400))
    warn()

    text = outbox()[0].text
    assert "$400.13 of $500 spent this month, 80 % or more." in text
    assert "Starts anew at 2026-12-01 00:00 UTC." in text
    assert f"{URL}{PAGE}" in text


def test_a_new_window_is_told_anew(line, cast, clock, warn, told):
    tell(line, cast.acme.id, SPEND, spend(clock, 490_000_000))
    warn()
    clock.advance(days=30)
    fields = spend(clock, 490_000_000) | {"resets_at": 1_798_761_600}
    tell(line, cast.acme.id, SPEND, fields)

    assert warn() == 1
    assert len(told()) == 4
    assert "95 %" in told()[0][1], "of two thresholds at once the higher is told"


def test_a_bucket_is_told_once_a_day_however_often_it_fills(line, cast, clock, warn, told):
    for _ in range(3):
        tell(line, cast.acme.id, REQUESTS, bucket(clock, 900))
        warn()
        clock.advance(minutes=5)
    assert len(told()) == 2

    clock.advance(days=1)
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 900))
    warn()

    assert len(told()) == 4


def test_gateways_that_count_for_themselves_are_added_up(line, app, sessions, cast, clock, warn):
    second = Line(Wire(app, enrol(sessions, "gw-2")), clock)
    for each in (line, second):
        tell(each, cast.acme.id, REQUESTS, bucket(clock, 450))

    assert warn() == 1


def test_what_has_emptied_again_or_belongs_to_others_is_not_told(line, cast, clock, warn, told):
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 900))
    clock.advance(seconds=30)
    assert warn() == 0
    tell(line, cast.delta.id, REQUESTS, bucket(clock, 900))
    assert warn() == 1

    assert {person for person, _ in told()} == {"dan"}


def test_the_job_looks_only_every_few_seconds(line, sessions, cast, clock):
    (job,) = jobs(sessions, url=URL)
    assert job.run() == 0
    tell(line, cast.acme.id, SPEND, spend(clock, 400_000_000))

    assert job.run() == 0
    clock.advance(seconds=5)
    assert job.run() == 1


def test_the_organisation_sets_when_and_whether_by_mail(
    as_ben, both_ways, alerts, journal, line, cast, clock, warn, told
):
    form = as_ben.get(PAGE).form("alerts").fill(thresholds="50 %, 90", by_mail=False)
    form.submit(htmx=both_ways.is_htmx, redirect=PAGE)
    tell(line, cast.acme.id, SPEND, spend(clock, 260_000_000))

    assert alerts() == Alerts((50, 90), by_mail=False)
    assert (warn(), told()) == (1, [])
    (event,) = [event for event in journal() if event.tag == "org:alerts:changed"]
    assert (event.details["before"]["thresholds"], event.details["after"]["thresholds"]) == (
        list(USUAL),
        [50, 90],
    )
    row = as_ben.get(PAGE).table("What was reached, newest first").rows[0]
    assert (row["Reached"], row["Stood at"]) == ("50 %", "$260 of $500")
    for path in ("/orgs/acme/usage", "/orgs/acme"):
        assert "Reached 50 %" in as_ben.get(path).text


def test_none_is_an_answer_too(ask_for, alerts, line, cast, clock, warn):
    ask_for()
    tell(line, cast.acme.id, SPEND, spend(clock, 500_000_000))

    assert (alerts().thresholds, warn()) == ((), 0)


def test_outsiders_find_nothing_and_who_only_reads_sets_nothing(visit, client, cast, alerts):
    for person, home, status in ((cast.dan, "delta", 404), (cast.cleo, "acme", 403)):
        cast.sign_in(client, person)
        token = visit.get(f"/orgs/{home}/keys").soup.select_one("[name=csrf_token]")["value"]
        for sent in ({"thresholds": "50"}, {"thresholds": "x"}):
            visit.post(PAGE, data={"csrf_token": token, **sent}, status=status)

    assert visit.get(PAGE).soup.select_one("form[name=alerts]") is None
    assert alerts() == Alerts()


def test_bad_input_is_said_beside_its_field_and_nothing_changes(as_ben, both_ways, alerts):
    for value in ("eighty", "0", "101", "1,2,3,4,5,6"):
        form = as_ben.get(PAGE).form("alerts").fill(thresholds=value)

        assert form.submit(htmx=both_ways.is_htmx, status=422).errors["thresholds"]
    assert alerts() == Alerts()


def test_a_bucket_that_a_lower_quota_filled_is_warned_of_once(line, cast, clock, warn, sessions):
    """Told as full under a grant that ends: without it, what is used lasts longer than was told."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        make_grant(session, org=org, quota=100_000, ends_at=clock.at + timedelta(seconds=10))
    tell(line, cast.acme.id, REQUESTS, bucket(clock, 6000, quota=100_000))
    assert warn() == 0
    clock.advance(seconds=30)

    assert (warn(), warn()) == (1, 0)
