import hashlib
import json

import pytest

from plimsoll.contract import canonical
from tests.support.worlds import SAMPLE


def test_the_document_is_what_was_published(client, catalog):
    document = client.get("/limits.json").json

    published = canonical.read(SAMPLE.read_bytes())
    identity = ("tier", "model", "metric", "kind", "period", "quota", "burst")
    given = {tuple(row.get(name) for name in identity) for row in published["rows"]}
    assert {tuple(limit[name] for name in identity) for limit in document["limits"]} == given
    assert document["counting"] == published["counting"]
    assert len(document["offers"]) == len(published["offers"])


def test_a_limit_has_its_name_unit_and_time(client, catalog):
    limits = client.get("/limits.json").json["limits"]

    found = next(limit for limit in limits if limit["name"] == "build.sonnet-5.requests.1m")
    assert found["unit"] == "request"
    assert (found["valid_from"], found["valid_to"]) == ("2026-11-02T11:00:00Z", None)
    assert found["change"] == 1


def test_the_same_limits_are_the_same_bytes(client, catalog, clock):
    first = client.get("/limits.json")
    clock.advance(days=400)

    again = client.get("/limits.json")

    assert again.data == first.data
    assert first.headers["ETag"] == f'"{hashlib.sha256(first.data).hexdigest()}"'


def test_who_has_it_already_gets_304(client, catalog):
    first = client.get("/limits.json")

    again = client.get("/limits.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.data) == (304, b"")


def test_every_page_may_read_it_and_no_cache_keeps_it_long(client, catalog):
    headers = client.get("/limits.json").headers

    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cache-Control"] == "public, max-age=60"
    assert "Set-Cookie" not in headers


def test_signed_in_it_is_the_same(client, cast):
    out = client.get("/limits.json")
    cast.sign_in(client, cast.ada)

    signed_in = client.get("/limits.json")

    assert signed_in.data == out.data
    assert signed_in.headers["Cache-Control"] == out.headers["Cache-Control"]


def test_before_change_1_it_is_empty(client, settings):
    document = client.get("/limits.json").json

    assert (document["limits"], document["offers"], document["tiers"]) == ([], [], [])


def test_it_answers_for_another_instant(client, catalog):
    before = client.get("/limits.json?at=2026-11-02T10:59:59Z").json
    after = client.get("/limits.json?at=2027-01-01").json

    assert (len(before["limits"]), len(after["limits"])) == (0, 39)


@pytest.mark.parametrize("at", ["tomorrow", "2026-12-24T12:30:00.5Z"])
def test_a_bad_instant_is_a_problem_that_names_the_field(client, catalog, at):
    answer = client.get("/limits.json", query_string={"at": at})

    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert json.loads(answer.data)["field"] == "at"
