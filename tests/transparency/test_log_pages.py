import pytest

from plimsoll.contract import canonical, checkpoint, merkle
from portal.transparency import keyfile, views


def test_a_stranger_can_verify_the_log(client, catalog, settings):
    text = client.get("/log/checkpoint").get_data(as_text=True)
    leaves = client.get("/log/entries").data.splitlines()

    public_key = checkpoint.public_key_of(keyfile.load(settings.data))
    signed = checkpoint.verify(text, settings.origin, public_key)
    assert (signed.size, signed.root) == (len(leaves), merkle.root(leaves))
    assert canonical.decode(leaves[1])["body"]["change"] == 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/log/checkpoint", "text/plain; charset=utf-8"),
        ("/log/entries", "application/x-ndjson; charset=utf-8"),
    ],
)
def test_any_page_may_read_it_and_any_cache_may_ask_whether_it_is_new(client, catalog, path, kind):
    answer = client.get(path)

    assert answer.content_type == kind
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "public, no-cache"
    again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("query", "seqs"),
    [
        ("", [0, 1]),
        ("?from=1", [1]),
        ("?to=1", [0]),
        ("?from=0&to=2", [0, 1]),
        ("?from=2", []),
        ("?from=1&to=1", []),
        ("?to=999999999999999", [0, 1]),
    ],
)
def test_a_range_is_half_open_and_ends_with_the_log(client, catalog, query, seqs):
    lines = client.get(f"/log/entries{query}").data.splitlines(keepends=True)

    assert [canonical.decode(line[:-1])["seq"] for line in lines] == seqs
    assert all(line.endswith(b"\n") for line in lines)


@pytest.mark.parametrize(
    "query", ["from=x", "from=-1", "from=", "to=1.5", "from=2&to=1", "from=3", "to=" + "9" * 16]
)
def test_a_bad_range_is_a_problem(client, catalog, query):
    answer = client.get(f"/log/entries?{query}")

    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert answer.json["code"] == "bad_range"


def test_a_long_range_goes_on_at_the_next_link(client, catalog, monkeypatch):
    monkeypatch.setattr(views, "LINES_MAX", 1)

    first = client.get("/log/entries")
    second = client.get("/log/entries?from=1&to=2")

    assert first.headers["Link"] == '</log/entries?from=1&to=2>; rel="next"'
    assert len(first.data.splitlines()) == 1
    assert "Link" not in second.headers


def test_before_anything_is_signed_there_is_nothing(client, log):
    log.append()

    missing = client.get("/log/checkpoint")

    assert (missing.status_code, missing.json["code"]) == (404, "nothing_signed")
    assert client.get("/log/entries").data == b""


def test_a_log_that_does_not_verify_is_said_and_not_shown(client, log):
    log.append()
    log.sign()
    log.by_sql("UPDATE log_checkpoint SET text = 'mine'")

    answer = client.get("/log/entries")

    assert (answer.status_code, answer.json["code"]) == (503, "log_unverified")


def test_the_command_prints_the_fingerprint(app, catalog, settings):
    printed = app.test_cli_runner().invoke(args=["log", "fingerprint"]).output

    public_key = checkpoint.public_key_of(keyfile.load(settings.data))
    assert printed == checkpoint.fingerprint(public_key) + "\n"
