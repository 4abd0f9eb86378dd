"""The organisation's journal, as its managers read it, filter it and take it away."""

import csv
import hashlib
import io
import json

import pytest

from plimsoll.contract import canonical
from portal.core.actor import CLI, Actor
from portal.core.db import transaction
from portal.journal.chain import START
from portal.journal.commands import record
from portal.journal.erasing import forget_addresses
from portal.orgs.commands import suspend_org
from portal.orgs.models import Org

ACTS = "Acts, newest first"


@pytest.fixture
def as_ada(clock, visit, client, cast):
    cast.sign_in(client, cast.ada)
    return visit


@pytest.fixture
def write(sessions, cast):
    """An event in Acme's journal."""

    def one(tag="org:key:issued", actor=None, **details):
        with sessions() as session, transaction(session):
            record(session, actor or cast.ada.actor, tag, org_id=cast.acme.id, **details)

    return one


def rows(page):
    return page.table(ACTS).rows


def test_each_act_stands_with_who_when_and_from_where(as_ada, write):
    write(name="Billing", prefix="plim_live_abcd")

    first = rows(as_ada.get("/orgs/acme/journal"))[0]

    assert first["What"] == "Key issued"
    assert (first["Who"], first["From"]) == ("ada@example.com", "127.0.0.1")
    assert first["Details"] == "name: Billing · prefix: plim_live_abcd"


def test_acts_of_the_staff_are_seen_but_not_from_where(as_ada, cast, sessions):
    with sessions() as session, transaction(session):
        acme = session.get_one(Org, cast.acme.id)
        suspend_org(session, actor=cast.root.actor, org=acme, reason="Abuse.")

    first = rows(as_ada.get("/orgs/acme/journal", kind="staff"))[0]

    assert first["Who"] == "root@example.com the provider\u2019s staff"
    assert (first["What"], first["From"]) == ("Organisation suspended", "not kept")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"kind": "keys"}, ["Key revoked", "Key issued"]),
        ({"kind": "members"}, ["Member left"]),
        ({"kind": "other"}, ["Organisation founded"]),
        ({"kind": "members", "since": "2027-01-01"}, []),
        ({"kind": "keys", "before": "2026-11-03", "since": "2026-11-02"}, ["Key issued"]),
    ],
)
def test_the_journal_is_filtered(as_ada, write, clock, asked, found):
    clock.set(clock().replace(year=2026, month=11, day=2))
    write("org:key:issued")
    clock.advance(days=1)
    write("org:key:revoked")
    write("org:member:left")

    page = as_ada.get("/orgs/acme/journal", **asked)

    shown = rows(page) if found else []
    assert [row["What"] for row in shown] == found


def test_one_persons_acts_are_found(as_ada, write, cast):
    write("org:key:issued", actor=cast.ben.actor)

    page = as_ada.get("/orgs/acme/journal", who=cast.ben.user_id)

    assert {row["Who"] for row in rows(page)} == {"ben@example.com"}


def test_it_goes_on_by_pages_that_nothing_new_shifts(as_ada, write):
    for number in range(60):
        write(number=number)
    first = as_ada.get("/orgs/acme/journal", kind="keys")
    write(number=60)

    second = as_ada.get(first.link("Older →"))

    assert [row["Details"] for row in rows(second)] == [f"number: {n}" for n in range(9, -1, -1)]
    assert "kind=keys" in first.link("Older →")


@pytest.mark.parametrize("asked", [{"since": "tomorrow"}, {"kind": "x"}, {"who": "usr_x"}])
def test_a_filter_that_says_nothing_is_told_and_shows_all(as_ada, asked, both_ways):
    page = as_ada.get("/orgs/acme/journal", htmx=both_ways.is_htmx, status=422, **asked)

    assert "Showing all." in page.text
    assert rows(page)


def test_a_page_that_is_none_is_refused(as_ada):
    as_ada.get("/orgs/acme/journal", page="x", status=422)


@pytest.mark.parametrize("path", ["journal", "journal.csv", "journal.jsonl"])
def test_outsiders_find_nothing_and_developers_may_not(visit, client, cast, path):
    for person, status in ((cast.dan, 404), (cast.root, 404), (cast.ben, 403), (cast.cleo, 403)):
        cast.sign_in(client, person)
        visit.get(f"/orgs/acme/{path}", status=status)


def test_json_lines_can_be_checked_by_whoever_has_them(as_ada, client, write, sessions):
    for number in range(3):
        write(number=number, person="ben@example.com")

    answer = client.get("/orgs/acme/journal.jsonl")

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="journal-acme-')
    assert "no-store" in answer.headers["Cache-Control"]
    previous = START
    for line in lines:
        assert line["hashed"]["previous"] == previous
        assert hashlib.sha256(canonical.encode(line["hashed"])).hexdigest() == line["hash"]
        previous = line["hash"]
    assert previous in as_ada.get("/orgs/acme/journal").text
    assert lines[-1]["personal"] == {"person": "ben@example.com"}
    assert "ben@example.com" not in str(lines[-1]["hashed"])


def test_csv_holds_what_the_filter_finds_and_no_formula(as_ada, client, write):
    evil = Actor(user_id="usr_evil", name="=HYPERLINK(1)@example.com", ip="203.0.113.9")
    write(actor=evil, name="@SUM(1)")
    write("org:member:left")

    answer = client.get("/orgs/acme/journal.csv?kind=keys")

    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["who"] == "'=HYPERLINK(1)@example.com"
    assert (row["what"], row["from"]) == ("Key issued", "203.0.113.9")
    assert json.loads(row["details"]) == {"name": "@SUM(1)"}


def test_exports_are_sent_in_pieces_and_hold_no_transaction(as_ada, client, write, monkeypatch):
    from portal.journal import queries

    monkeypatch.setattr(queries, "_BATCH", 2)
    for number in range(5):
        write(number=number)

    assert len(client.get("/orgs/acme/journal.jsonl?kind=keys").text.splitlines()) == 5


def test_the_page_costs_the_same_with_many_rows(as_ada, write, client, count_queries):
    with count_queries() as few:
        client.get("/orgs/acme/journal")
    for number in range(60):
        write(number=number)
    with count_queries() as many:
        client.get("/orgs/acme/journal")

    assert len(many) == len(few)


def test_network_addresses_are_kept_for_ninety_days(
    as_ada, write, sessions, clock, app, client, cast
):
    write()
    clock.advance(days=89, hours=23)
    write("org:member:left", actor=CLI)
    forget_addresses(sessions)
    cast.sign_in(client, cast.ada)
    assert rows(as_ada.get("/orgs/acme/journal", kind="keys"))[0]["From"] == "127.0.0.1"
    clock.advance(hours=1)

    assert forget_addresses(sessions) > 0
    assert forget_addresses(sessions) == 0

    checked = app.test_cli_runner().invoke(args=["journal", "check"])
    assert checked.exit_code == 0
    assert rows(as_ada.get("/orgs/acme/journal", kind="keys"))[0]["From"] == "not kept"
