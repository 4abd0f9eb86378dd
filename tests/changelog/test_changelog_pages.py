import hashlib

import pytest

from plimsoll.contract import canonical
from tests.support.worlds import SAMPLE, publish


def entry_body(client):
    return canonical.decode(client.get("/log/entries?from=1&to=2").data.strip())["body"]


def test_the_list_leads_to_the_change(visit, catalog):
    page = visit.get("/changelog")

    assert page.text.startswith("Changelog No change is announced.")
    (line,) = page.all(".news-line")
    assert line == (
        "Change 1: Our limits In force Neutral In force since 2026-11-02 11:00 UTC."
        " For every tier. Announced 2026-11-02 11:00 UTC."
    )
    assert page.link("Change 1: Our limits") == "/changelog/1"


def test_an_empty_list_says_what_will_stand_there(visit):
    assert "No change is published yet" in visit.get("/changelog").text


def test_a_change_says_first_since_when_and_what(visit, catalog):
    page = visit.get("/changelog/1")

    assert page.h1 == "Change 1: Our limits"
    assert "In force since 2026-11-02 11:00 UTC: 39 new limits and" in page.text
    assert "The limits this portal opens with." in page.text


def test_the_diff_reads_as_sentences(visit, catalog):
    table = visit.get("/changelog/1").table("Build")

    row = table.row("Sonnet 5 · input tokens per minute")
    assert (row["Before"], row["After"], row["Difference"]) == ("none", "5,000,000", "new")
    row = table.row("All models together · spend per calendar month")
    assert row["After"] == "$1,000"


def test_a_change_leads_to_its_entry(visit, client, catalog):
    page = visit.get("/changelog/1")

    entry = client.get(page.link("entry 1")).data
    assert canonical.decode(entry.strip())["body"]["id"] == page.facts["Id"]


def test_the_reason_is_served_to_the_byte_that_the_log_hashes(client, catalog):
    answer = client.get("/changelog/1.md")

    assert answer.content_type == "text/markdown; charset=utf-8"
    assert hashlib.sha256(answer.data).hexdigest() == entry_body(client)["reason_sha256"]


def test_windows_line_ends_and_decomposed_letters_do_not_break_the_hash(
    client, visit, sessions, settings
):
    catalog = canonical.read(SAMPLE.read_bytes())
    catalog["reason"] = "Cafe\u0301 first.\r\n\r\nThen **tea** & <i>cake</i>."
    publish(sessions, settings, catalog)

    raw = client.get("/changelog/1.md").data

    assert raw.decode() == "Caf\u00e9 first.\n\nThen **tea** & <i>cake</i>."
    assert hashlib.sha256(raw).hexdigest() == entry_body(client)["reason_sha256"]
    page = visit.get("/changelog/1")
    assert page.all(".prose strong") == ["tea"]
    assert page.all(".prose p") == ["Caf\u00e9 first.", "Then tea & <i>cake</i>."]


@pytest.mark.parametrize(
    "path", ["/changelog/2", "/changelog/0", "/changelog/2.md", "/changelog/" + "9" * 40]
)
def test_what_was_never_published_is_not_there(visit, catalog, path):
    visit.get(path, status=404)


def test_a_change_that_is_not_signed_is_not_there(visit, log_without_signature):
    visit.get("/changelog/1", status=404)

    assert "No change is published yet" in visit.get("/changelog").text


@pytest.fixture
def log_without_signature(sessions, settings, monkeypatch):
    """Change 1 is recorded, and the signer did not come yet."""
    from portal.transparency import signer

    nothing = signer.SignOutcome(0, 0, None)
    with monkeypatch.context() as patch:
        patch.setattr(signer, "sign_new", lambda *_: nothing)
        publish(sessions, settings)
