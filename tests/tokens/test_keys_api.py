"""Keys by API: the acts of the pages, for who holds a token."""

import pytest
from sqlalchemy import select

from plimsoll.contract.tokens import looks_like, secret_digest
from portal.core.db import transaction
from portal.keys.models import ApiKey
from portal.orgs.commands import move_org
from portal.orgs.models import Membership, Org, Role
from tests.support.factories import make_key

ACTS = {
    "rename": {"name": "New"},
    "pause": None,
    "resume": None,
    "rotate": {"grace_seconds": 3600},
    "revoke": {"reason": "Over."},
}
KEYS = "/keys?org=acme"


@pytest.fixture
def keys(sessions):
    def read():
        with sessions() as session:
            return list(session.scalars(select(ApiKey).order_by(ApiKey.id)))

    return read


@pytest.fixture
def make(sessions, cast):
    def make(**values):
        with sessions() as session, transaction(session):
            return make_key(session, org=session.get_one(Org, cast.acme.id), **values).key

    return make


def told(row):
    """What may change in a key."""
    names = ("name", "paused_at", "revoked_at", "revoked_reason", "successor_id", "expires_at")
    return [getattr(row, name) for name in names]


def test_a_key_lives_its_life_by_api(call, cast, token_of, keys, journal):
    token = token_of(cast.ben, name="deploy")
    asked = {
        "name": "Billing",
        "networks": ["203.0.113.7/24"],
        "expires_at": "2099-01-01T00:00:00Z",
    }

    issued = call("POST", KEYS, token, json=asked)
    path = f"/keys/{issued.json['key']['id']}"
    seen = {
        act: call("POST", f"{path}/{act}", token, json=ACTS[act]) for act in ("rename", "pause")
    }
    resumed, rotated = (
        call("POST", f"{path}/{act}", token, json=ACTS[act]) for act in ("resume", "rotate")
    )
    revoked = call("POST", f"{path}/revoke", token, json=ACTS["revoke"])

    secret, (old, new) = issued.json["secret"], keys()
    assert issued.status_code == rotated.status_code == 201
    assert looks_like(secret, "plim_live_")
    assert (old.digest, new.digest) == (
        secret_digest(secret),
        secret_digest(rotated.json["secret"]),
    )
    assert issued.headers["Location"] == f"/api/v1{path}"
    assert issued.json["key"]["networks"] == ["203.0.113.0/24"]
    assert issued.json["key"]["expires_at"] == "2099-01-01T00:00:00Z"
    assert issued.json["key"]["issued_by"] == cast.ben.email
    assert seen["rename"].json["name"] == "New"
    assert (seen["pause"].json["state"], resumed.json["state"]) == ("paused", "active")
    assert call("GET", path, token).json == revoked.json
    assert (revoked.json["state"], revoked.json["revoked_reason"]) == ("revoked", "Over.")
    assert revoked.json["successor"] == rotated.json["key"]["id"] == new.id
    acts = [event for event in journal() if event.tag.startswith("org:key:")]
    assert [event.tag.rpartition(":")[2] for event in acts] == [
        *("issued", "renamed", "paused", "resumed", "rotated", "revoked"),
    ]
    assert {(event.via, event.actor_id, event.details["token"]) for event in acts} == {
        ("token", cast.ben.user_id, "deploy")
    }


def test_an_outsider_finds_nothing_whatever_is_sent(call, cast, token_of, token_of_org, keys, make):
    key, before = make(), told(keys()[0])

    for token in (token_of(cast.dan), token_of_org(cast.delta)):
        for sent in ({}, {"json": {}}, {"json": {"name": "x"}}, {"data": b"{"}):
            answers = [call("POST", f"/keys/{key.id}/{act}", token, **sent) for act in ACTS]
            answers += [call("POST", KEYS, token, **sent)]
            assert {answer.status_code for answer in answers} == {404}
        assert call("GET", f"/keys/{key.id}", token).status_code == 404
        assert call("GET", KEYS, token).status_code == 404
        assert call("GET", f"/keys?org={cast.acme.id}", token).status_code == 404

    assert [told(row) for row in keys()] == [before]


def test_neither_role_nor_scope_is_exceeded(call, cast, token_of, token_of_org, keys, make):
    key, before = make(), told(keys()[0])
    short = {
        "forbidden": [token_of(cast.cleo), token_of_org(cast.acme, role=Role.VIEWER)],
        "scope_missing": [
            token_of(cast.ada, scopes=("keys:read", "usage:read", "org:manage")),
            token_of_org(cast.acme, scopes=("keys:read",)),
        ],
    }

    for code, tokens in short.items():
        for token in tokens:
            answers = [call("POST", f"/keys/{key.id}/{act}", token, json=ACTS[act]) for act in ACTS]
            answers += [call("POST", KEYS, token, json={"name": "x"})]
            assert {(each.status_code, each.json["code"]) for each in answers} == {(403, code)}
            assert call("GET", f"/keys/{key.id}", token).status_code == 200
    blind = token_of(cast.ada, scopes=("usage:read",))
    assert call("GET", KEYS, blind).json["code"] == "scope_missing"

    assert [told(row) for row in keys()] == [before]


BAD = [
    ("", {}, "name"),
    ("", {"name": ""}, "name"),
    ("", {"name": "a\u202eb"}, "name"),
    ("", {"name": 7}, "name"),
    ("", {"name": "x" * 81}, "name"),
    ("", {"name": "taken"}, "name"),
    ("", {"name": "x", "environment": "prod"}, "environment"),
    ("", {"name": "x", "expires_at": "2099-01-01T00:00"}, "expires_at"),
    ("", {"name": "x", "expires_at": "2099-01-01T00:00:00.5Z"}, "expires_at"),
    ("", {"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ("", {"name": "x", "expires_at": "0001-01-01T00:00:00+23:00"}, "expires_at"),
    ("", {"name": "x", "models": ["nonsense"]}, "models"),
    ("", {"name": "x", "networks": ["nonsense"]}, "networks"),
    ("", {"name": "x", "quota": 1}, "quota"),
    ("", [], None),
    ("rename", {"name": "\0"}, "name"),
    ("rotate", {}, "grace_seconds"),
    ("rotate", {"grace_seconds": -1}, "grace_seconds"),
    ("rotate", {"grace_seconds": 2_592_001}, "grace_seconds"),
    ("rotate", {"grace_seconds": True}, "grace_seconds"),
    ("revoke", {"reason": "x" * 501}, "reason"),
]


def test_bad_input_changes_nothing(call, cast, token_of, keys, make):
    key, token = make(name="Taken"), token_of(cast.ada)
    before = told(keys()[0])

    for act, sent, field in BAD:
        answer = call("POST", f"/keys/{key.id}/{act}" if act else KEYS, token, json=sent)
        assert (answer.status_code, answer.json.get("field")) == (422, field), (act, sent)
        assert answer.content_type == "application/problem+json"
        assert answer.json["type"] == f"/problems/{answer.json['code']}"

    assert [told(row) for row in keys()] == [before]


NO_JSON = [
    ({"data": b"{", "content_type": "application/json"}, 400),
    ({"data": b"[" * 100_000, "content_type": "application/json"}, 400),
    ({"data": b'{"name": "\\ud800"}', "content_type": "application/json"}, 400),
    ({"data": b'{"name": NaN}', "content_type": "application/json"}, 422),
    ({"data": b"\xff", "content_type": "application/json"}, 400),
    ({"data": b"", "content_type": "application/json"}, 400),
    ({"data": {"name": "x"}}, 415),
]


def test_what_is_no_json_is_not_read(call, cast, token_of, keys):
    token = token_of(cast.ada)

    for sent, status in NO_JSON:
        answer = call("POST", KEYS, token, **sent)
        assert answer.status_code == status, sent
        assert answer.content_type == "application/problem+json"

    assert keys() == []


def test_what_is_over_is_a_conflict(call, cast, token_of, make):
    key, token = make(), token_of(cast.ada)
    call("POST", f"/keys/{key.id}/revoke", token, json=ACTS["revoke"])

    again = {act: call("POST", f"/keys/{key.id}/{act}", token, json=ACTS[act]) for act in ACTS}

    assert again.pop("revoke").status_code == 200
    assert {(each.status_code, each.json["code"]) for each in again.values()} == {
        (409, "key_ended")
    }


def test_an_organisations_token_goes_on_without_whoever_made_it(
    call, sessions, cast, token_of_org, keys, journal, visit, client
):
    token = token_of_org(cast.acme, role=Role.DEVELOPER, name="deploy")
    with sessions() as session, transaction(session):
        session.add(Membership(org_id=cast.acme.id, user_id=cast.root.user_id, role=Role.OWNER))
        session.delete(session.get_one(Membership, (cast.acme.id, cast.ada.user_id)))

    issued = call("POST", "/keys", token, json={"name": "Billing"})
    rotated = call("POST", f"/keys/{issued.json['key']['id']}/rotate", token, json=ACTS["rotate"])

    assert (issued.status_code, rotated.status_code) == (201, 201)
    assert rotated.json["key"]["issued_by"] == "deploy"
    assert {row.created_by for row in keys()} == {None}
    event = journal()[-1]
    assert (event.via, event.actor_id, event.actor_name) == ("token", keys()[0].token_id, "deploy")
    cast.sign_in(client, cast.root)
    assert "by deploy" in visit.get("/orgs/acme/keys").html
    assert "by deploy" in visit.get(f"/orgs/acme/keys/{keys()[1].id}").html
    assert "by access token" in visit.get("/orgs/acme/journal").html


def test_the_list_is_paged_by_cursor_and_filtered(call, cast, token_of, make):
    made, token = [make(name=f"Key {number}").id for number in range(5)], token_of(cast.cleo)

    seen, cursor, pages = [], "", 0
    while cursor is not None:
        answer = call("GET", f"{KEYS}&limit=2{cursor and '&cursor='}{cursor}", token)
        seen += [key["id"] for key in answer.json["keys"]]
        cursor, pages = answer.json["next"], pages + 1

    assert (seen, pages) == (made[::-1], 3)
    found = call("GET", f"{KEYS}&q=key%203&state=active&environment=live", token).json["keys"]
    assert [key["name"] for key in found] == ["Key 3"]
    assert call("GET", f"{KEYS}&state=revoked", token).json == {"keys": [], "next": None}


NO_QUERY = [
    ("org=acme&sate=revoked", "sate"),
    ("org=acme&limit=0", "limit"),
    ("org=acme&limit=x", "limit"),
    ("org=acme&state=x", "state"),
    ("org=acme&org=delta", "org"),
    ("org=acme&cursor=x", None),
    ("", "org"),
]


def test_a_query_that_means_nothing_is_refused(call, cast, token_of):
    token = token_of(cast.ada)

    for query, field in NO_QUERY:
        answer = call("GET", f"/keys?{query}", token)
        assert (answer.status_code, answer.json.get("field")) == (422, field), query


def test_an_organisation_is_found_by_id_and_by_what_it_was_called(
    call, sessions, cast, token_of, token_of_org
):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        move_org(session, actor=cast.ada.actor, org=org, slug="acme-2", url="http://localhost")
    named, own = token_of(cast.ada), token_of_org(cast.acme)

    for org in ("acme", "acme-2", cast.acme.id):
        assert call("GET", f"/keys?org={org}", named).status_code == 200
        assert call("GET", f"/keys?org={org}", own).status_code == 200
    assert call("GET", "/keys?org=delta", own).status_code == 404
    assert call("GET", "/keys", own).status_code == 200


def test_a_cookie_is_no_token(call, client, cast, make):
    key = make()
    cast.sign_in(client, cast.ada)

    answers = [call("POST", f"/keys/{key.id}/{act}", json=ACTS[act]) for act in ACTS]

    assert {(each.status_code, each.json["code"]) for each in answers} == {(401, "token_missing")}
