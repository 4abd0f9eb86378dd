"""The document, the router and what is answered say the same."""

import re

import pytest

from portal.core.errors import Invalid
from portal.keys.api_shapes import NewKey, NewSecret, Revocation
from portal.web.openapi import operation_of
from portal.web.shapes import BadJson

# Signed by scanners, and as GitHub's programme has it: no part of what a token opens.
OF_A_KEY = "/api/v1/me/limits"
OTHERS = {("POST", "/api/v1/leaks"), ("GET", "/api/v1/openapi.json")}


def routes(app):
    return {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }


def described(client):
    said = client.get("/api/v1/openapi.json").json
    return said, {
        (method.upper(), path): operation
        for path, item in said["paths"].items()
        for method, operation in item.items()
    }


on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@on_sqlite
def test_the_document_names_each_address_and_no_other(app, client):
    said, operations = described(client)

    assert set(operations) == routes(app) - OTHERS
    assert said["openapi"] == "3.1.0"
    assert len({each["operationId"] for each in operations.values()}) == len(operations)


@on_sqlite
def test_an_address_without_a_description_is_found(app, client):
    app.view_functions["keys_api.pause_key"] = lambda key: key

    _, operations = described(client)

    assert routes(app) - OTHERS - set(operations) == {("POST", "/api/v1/keys/{key}/pause")}


@on_sqlite
def test_each_operation_asks_for_a_token(app, client, catalog):
    for method, path in described(client)[1]:
        answer = client.open(path.replace("{key}", "key_x"), method=method)

        missing = "key_missing" if path == OF_A_KEY else "token_missing"
        assert (answer.status_code, answer.json["code"]) == (401, missing), path


@on_sqlite
def test_what_a_view_answers_is_what_it_says(app, client, cast, token_of):
    """An answer with a field more or less than its shape would be read by nobody's client."""
    token = {"Authorization": f"Bearer {token_of(cast.ada)}"}
    issued = client.post("/api/v1/keys?org=acme", json={"name": "x"}, headers=token)
    key = {"Authorization": f"Bearer {issued.json['secret']}"}
    said = {
        "keys_api.issue_key": (201, issued),
        "keys_api.key": (200, client.get(issued.location, headers=token)),
        "keys_api.list_keys": (200, client.get("/api/v1/keys?org=acme", headers=token)),
        "tokens_api.orgs": (200, client.get("/api/v1/orgs", headers=token)),
        "usage_api.my_limits": (200, client.get(OF_A_KEY, headers=key)),
    }

    for endpoint, (status, answer) in said.items():
        body = operation_of(app.view_functions[endpoint]).answers[status].body
        assert answer.status_code == status
        body.read_json(answer.data)


@on_sqlite
def test_the_page_for_people_names_each_address(visit, client):
    text = visit.get("/docs/api").html

    for method, path in described(client)[1]:
        assert f"<code>{method} {path}</code>" in text


@pytest.mark.parametrize(
    ("shape", "sent", "field", "said"),
    [
        (NewKey, '{"name": "%s"}' % ("x" * 81), "name", "At most 80 fit here."),
        (NewKey, '{"name": "\u200b"}', "name", "Use at least one character that can be seen."),
        (
            NewKey,
            '{"name": "x", "environment": "mars"}',
            "environment",
            "Use one of 'live' or 'test'.",
        ),
        (
            NewKey,
            '{"name": "x", "expires_at": "{}"}',
            "expires_at",
            "Give an instant with its offset",
        ),
        (
            NewKey,
            '{"name": "x", "models": ["\\u0000"]}',
            "models",
            "A character in this text is none.",
        ),
        (NewKey, '{"name": "x", "nmae": "y"}', "nmae", "There is no such field here."),
        (NewKey, "{}", "name", "This is missing."),
        (NewKey, "[]", "", "Send a JSON object."),
        (NewSecret, '{"grace_seconds": -1}', "grace_seconds", "Give a whole number from 0."),
        (
            NewSecret,
            '{"grace_seconds": 9e99}',
            "grace_seconds",
            "Give a whole number up to 2,592,000.",
        ),
        (NewSecret, '{"grace_seconds": true}', "grace_seconds", "Give a whole number."),
        (NewSecret, '{"grace_seconds": "5"}', "grace_seconds", "Give a whole number."),
        (NewSecret, '{"grace_seconds": NaN}', "grace_seconds", "Give a whole number."),
        (Revocation, '{"reason": 5}', "reason", "Give a text."),
    ],
)
def test_what_does_not_fit_is_told_in_words_for_people(shape, sent, field, said):
    with pytest.raises(Invalid) as refused:
        shape.read_json(sent.encode())

    assert refused.value.field == field
    assert refused.value.public.startswith(said)


@pytest.mark.parametrize("sent", [b"", b"{", b"\xff", b"[" * 100_000, b'{"name": "\\ud800"}'])
def test_what_is_no_json_is_told_apart(sent):
    with pytest.raises(BadJson):
        NewKey.read_json(sent)


def test_what_fits_is_read_as_commands_take_it():
    assert NewKey.read_json('{"name": " e\u0301 "}'.encode()).name == "é"
    assert Revocation.read_json(b'{"reason": "Lost.\\r\\nTwice. "}').reason == "Lost.\nTwice."
    assert NewSecret.read_json(b'{"grace_seconds": 5.0}').grace_seconds == 5
