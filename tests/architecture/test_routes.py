"""The table of routes: each is public by this list, or behind sign-in; each POST asks for CSRF."""

from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.routing import Rule

from portal.web.public import is_public, public

PUBLIC = {
    "accounts.check_code",
    "accounts.confirm_email",
    "accounts.enter_code",
    "accounts.new_password",
    "accounts.set_password",
    "accounts.sign_in",
    "accounts.start_session",
    "address.confirm_change",
    "address.email_change",
    "address.refuse_change",
    "changelog.announcement",
    "change_page.change",
    "changelog.changes",
    "changelog.notice",
    "limits.limits",
    "console.check_mail",
    "console.home",
    "console.new_account",
    "console.sign_up",
    "dev.design",
    "dev.mail",
    "dev.mails",
    "docs.api",
    "docs.gateway",
    "docs.keys",
    "docs.operating",
    "documents.atom",
    "documents.json_feed",
    "documents.limits",
    "documents.reason",
    "docs.log",
    "feedback_records.clocks",
    "feedback_records.decision",
    "feedback.thread",
    "feedback.threads",
    "feedback_feeds.board",
    "feedback_feeds.thread",
    "posts.history",
    "posts.permalink",
    "health.alive",
    "health.ready",
    "leaks.report_leaks",
    "operations.show",
    "keys_api.issue_key",
    "keys_api.key",
    "keys_api.list_keys",
    "keys_api.pause_key",
    "keys_api.rename_key",
    "keys_api.resume_key",
    "keys_api.revoke_key",
    "keys_api.rotate",
    "portal_api.guide",
    "portal_api.openapi",
    "tokens_api.orgs",
    "join.invitation",
    "join.sign_up",
    "resets.ask",
    "resets.check_mail",
    "resets.forgot_password",
    "static",
    "subscriptions.confirm_unsubscribe",
    "subscriptions.unsubscribe",
    "sync.report",
    "sync.state",
    "sync.usage",
    "transparency.checkpoint",
    "transparency.entries",
    "upgrades.upgrades",
    "usage_api.my_limits",
}
VALUES = {"org": "acme", "key": "key_00000000000000000000000000", "number": 1}


def rules(app: Flask, method: str) -> Iterator[Rule]:
    return (rule for rule in app.url_map.iter_rules() if method in (rule.methods or ()))


def address(app: Flask, rule: Rule) -> str:
    values = {name: VALUES.get(name, "x") for name in rule.arguments}
    return str(app.url_map.bind("localhost").build(rule.endpoint, values))


def public_endpoints(app: Flask) -> set[str]:
    views = app.view_functions.items()
    return {endpoint for endpoint, view in views if endpoint == "static" or is_public(view)}


def guarded(app: Flask, method: str) -> list[str]:
    return [address(app, rule) for rule in rules(app, method) if rule.endpoint not in PUBLIC]


pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_what_is_public_is_public_by_this_list(app):
    assert public_endpoints(app) == PUBLIC


def test_a_route_that_became_public_unnoticed_is_found(app):
    app.view_functions["keys.keys"] = public(lambda: "everyone's keys")

    assert public_endpoints(app) - PUBLIC == {"keys.keys"}


def test_whoever_is_not_signed_in_is_asked_to(app, client, catalog):
    for path in guarded(app, "GET"):
        answer = client.get(path)

        assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/login"), path


def test_whoever_is_not_signed_in_changes_nothing(app, client, catalog):
    app.config["WTF_CSRF_ENABLED"] = False

    for path in guarded(app, "POST"):
        answer = client.post(path)

        assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/login"), path


def test_an_unguarded_route_would_be_found(app, client):
    """The two tests above see a view that answers strangers."""
    app.view_functions["keys.keys"] = public(lambda org: f"the keys of {org}")

    assert client.get("/orgs/acme/keys").status_code == 200


def test_every_post_asks_for_the_token_of_the_form(app, client, cast):
    cast.sign_in(client, cast.ada)
    paths = [address(app, rule) for rule in rules(app, "POST") if not is_spared(rule)]

    for path in paths:
        answer = client.post(path, headers={"Accept": "application/json"})

        assert answer.status_code == 400, path
        assert answer.json["code"] == "csrf", path


def is_spared(rule: Rule) -> bool:
    return any(part in rule.rule for part in ("/sync/", "/unsubscribe/", "/api/v1/"))


def test_only_what_reads_no_cookie_is_spared_the_token(app, client):
    """No browser sends by itself a token, a mail's signed address, or a scanner's signature."""
    spared = {rule.rule for rule in rules(app, "POST") if is_spared(rule)}

    assert spared == {
        "/sync/v1/report",
        "/sync/v1/usage",
        "/changelog/unsubscribe/<token>",
        "/api/v1/leaks",
        "/api/v1/keys",
        *(f"/api/v1/keys/<key>/{act}" for act in ("pause", "rename", "resume", "revoke", "rotate")),
    }
    assert client.post("/sync/v1/report", headers={"Sync-Version": "1"}).status_code == 401


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_staffs_pages_are_not_there_for_others(app, client, cast, method):
    app.config["WTF_CSRF_ENABLED"] = False
    cast.sign_in(client, cast.ada)
    paths = [path for path in guarded(app, method) if path.startswith("/admin")]

    answers = {path: client.open(path, method=method).status_code for path in paths}

    assert answers
    assert set(answers.values()) == {404}, answers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_organisations_pages_are_not_there_for_outsiders(app, client, cast, method):
    app.config["WTF_CSRF_ENABLED"] = False
    cast.sign_in(client, cast.dan)
    paths = [path for path in guarded(app, method) if path.startswith("/orgs/acme")]

    answers = {path: client.open(path, method=method).status_code for path in paths}

    assert answers
    assert set(answers.values()) == {404}, answers
