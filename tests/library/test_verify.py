"""`plimsoll verify` against the real portal."""

from datetime import UTC, datetime

import pytest

from plimsoll.cli import main
from plimsoll.contract import checkpoint
from plimsoll.contract.draft import parse_draft
from plimsoll.verify import VerificationFailed
from portal.changelog.commands import publish_change
from portal.core import clock as core_clock
from portal.core.actor import CLI
from portal.transparency import keyfile
from portal.transparency.signer import log_transaction


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """The command with a home of its own: exit status and lines."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))

    def call(*arguments: str) -> tuple[int, list[str]]:
        status = main(["verify", *arguments])
        return status, capsys.readouterr().out.splitlines()

    return call


def test_a_stranger_verifies_the_portal_step_by_step(served, catalog, run):
    status, lines = run(served)

    assert status == 0
    steps = [line.split()[:2] for line in lines[:-1]]
    names = "connection checkpoint signature tree consistency rules fold limits"
    assert steps == [[name, "ok"] for name in names.split()]
    assert lines[-1] == f"VERIFIED: the limits at {served} are those of its signed log"


def test_the_second_time_the_log_extends_what_was_kept(served, catalog, run):
    _, first = run(served)

    status, second = run(served)

    assert status == 0
    assert "the first time" in first[2]
    assert "nothing was kept yet" in first[4]
    assert "the first time" not in second[2]
    assert "extends the 2 entries of last time" in second[4]


def test_the_right_fingerprint_is_accepted_and_another_one_is_not(served, catalog, run, settings):
    pin = checkpoint.fingerprint(checkpoint.public_key_of(keyfile.load(settings.data)))

    assert run(served, "--fingerprint", pin)[0] == 0
    status, lines = run(served, "--fingerprint", "0" * 64)

    assert (status, lines[-1]) == (1, f"NOT VERIFIED: {served} failed at the step signature")


def test_a_portal_that_is_not_there_fails_at_the_connection(run):
    status, lines = run("http://127.0.0.1:9")

    assert (status, lines[0].split()[:2]) == (1, ["connection", "failed"])


def test_a_portal_before_its_first_signature_fails_at_the_connection(served, run):
    status, lines = run(served)

    assert status == 1
    assert "/log/checkpoint answers 404" in lines[0]


def test_an_address_of_another_kind_is_a_mistake_in_usage(run):
    assert run("portal.example")[0] == 2


def test_what_a_stranger_writes_never_steers_the_terminal(run, monkeypatch):
    def verify(url, **how):
        yield "checkpoint", "2 entries of \x1b[2Jme/log"
        raise VerificationFailed("rules", "\x1b[31m\nVERIFIED")

    monkeypatch.setattr("plimsoll.verify.verify", verify)

    _, lines = run("https://portal.example")

    assert len(lines) == 3
    assert not any("\x1b" in line for line in lines)


def test_changes_in_force_and_ahead_are_in_the_document_as_the_log_has_them(
    served, catalog, run, sessions, settings
):
    day = 86_400
    now = core_clock.timestamp()
    steps = [("Raise", 0, 2000), ("More", 1, 3000), ("Cut", 31, 1500), ("No limit", 40, None)]
    for title, days, quota in steps:
        at = now + days * day if days else None
        publish(sessions, settings, title=title, effective_at=at, quota=quota)

    status, lines = run(served)

    assert (status, lines[-2].split()[:2]) == (0, ["limits", "ok"])
    assert "6 entries" in lines[1]


def publish(sessions, settings, *, title: str, effective_at: int | None, quota: int | None) -> None:
    """Give the first limit of the sample another quota, or (None) take it away."""
    row = {"tier": "start", "model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60}
    values = {"quota": None} if quota is None else {"quota": quota, "burst": quota}
    at = None if effective_at is None else f"{datetime.fromtimestamp(effective_at, UTC):%FT%TZ}"
    draft = parse_draft(
        {"title": title, "reason": "Why not.", "effective_at": at, "rows": [row | values]}
    )
    with (
        sessions() as session,
        log_transaction(session, sessions, settings=settings, actor=CLI),
    ):
        publish_change(session, actor=CLI, draft=draft)
