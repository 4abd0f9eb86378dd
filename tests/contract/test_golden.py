"""What each release has said on the wire, read by both sides of today (CONTRIBUTING, Releasing)."""

import base64
from typing import Any

import orjson
import pytest

from plimsoll.contract import canonical, checkpoint, records
from plimsoll.contract.records import WIRE_VERSION
from plimsoll.decision import Code
from tests.contract import golden
from tests.contract.replay import SNAPSHOT, STREAM, gate
from tests.contract.world import World, dumps, folder_of, without_chance
from tests.support.wire import Copy, Wire, enrol

RELEASES = golden.releases()
NEWEST = RELEASES[-1]
LINES = (SNAPSHOT, STREAM, "entries.ndjson")

# On both, `test_todays_portal_and_gateway_say_what_the_newest_release_said` sees all of it.
on_one_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
each_release = pytest.mark.parametrize("release", RELEASES)


def puts(files: dict[str, bytes]) -> list[records.Put]:
    lines = (files[SNAPSHOT] + files[STREAM]).splitlines()
    return [records.split_put(line) for line in lines if line.startswith(b'{"t":"put"')]


def forms(value: Any, path: str = "") -> set[str]:
    """Names and kinds of value at each place of a text as it was sent, in the order that it has them."""
    match value:
        case dict():
            named = {f"{path}{{{','.join(value)}}}"}
            return named.union(*(forms(each, f"{path}.{name}") for name, each in value.items()))
        case list():
            return {f"{path}[]"}.union(*(forms(each, f"{path}[]") for each in value))
        case _:
            return {f"{path} {type(value).__name__}"}


def forms_of(lines: bytes) -> set[str]:
    """The forms of all lines, each under what it says it is; JSON as sent keeps its order."""
    found: set[str] = set()
    for line in lines.splitlines():
        said = orjson.loads(line)
        data = said.get("data", {})
        kind = f"{said.get('t', '')} {said.get('kind', '')} {data.get('kind', '')}"
        found |= forms(said, kind)
    return found


# ---- today's gateway ----


@each_release
def test_todays_gateway_decides_as_that_of_the_release_did(release):
    files = golden.read(release)

    decisions, _ = golden.decide(files)

    expected = orjson.loads(files["decisions.json"])
    assert orjson.loads(dumps([each["answer"] for each in decisions])) == [
        each["answer"] for each in expected
    ]


@each_release
def test_a_release_is_kept_with_every_kind_of_record_and_entry_and_every_verdict(release):
    files = golden.read(release)

    kinds = {put.kind for put in puts(files)}
    entries = {orjson.loads(line)["kind"] for line in files["entries.ndjson"].splitlines()}
    said = {orjson.loads(line)["t"] for line in files[STREAM].splitlines()}
    codes = {each["answer"]["code"] for each in orjson.loads(files["decisions.json"])}
    assert kinds == {"org", "key", "entry", "checkpoint"}
    assert entries >= {"log.opened", "change.announced", "change.held", "change.released"}
    assert entries >= {"change.rescheduled", "change.withdrawn", "change.amended"}
    assert entries >= {"policy.changed", "decision.recorded"}
    assert said == {"hello", "put", "commit", "heartbeat", "bye"}
    assert codes == {each.value for each in Code} - {"key_missing", "not_ready"}


@each_release
def test_the_releases_digests_and_signatures_hold_for_todays_library(release):
    files, copy = golden.read(release), Copy()

    for line in (files[SNAPSHOT] + files[STREAM]).splitlines(keepends=True):
        copy.take(line)  # counts and digests must fit at each commit

    leaves = files["entries.ndjson"].splitlines()
    key = orjson.loads(leaves[0])["body"]["public_key"]
    origin = orjson.loads(leaves[0])["body"]["origin"]
    text = files["checkpoint.txt"].decode()
    assert checkpoint.verify(text, origin, base64.b64decode(key)).size == len(leaves)
    assert all(canonical.encode(canonical.decode(leaf)) == leaf for leaf in leaves)


@each_release
def test_todays_gateway_goes_past_what_a_later_portal_may_add(release, tmp_path):
    """Lines, kinds of records and fields of lines that nobody knows yet; the digest covers them."""
    files = golden.read(release)
    *before, commit, heartbeat, bye = files[STREAM].splitlines(keepends=True)
    said = orjson.loads(commit)
    added = records.record_hash("witness", "w_1", b'{"at":1}')
    digest = records.digest_hex(records.digest_after(int(said["digest"], 16), added=added))
    news = records.put_line("witness", "w_1", said["rev"], b'{"at":1}')
    more = {**said, "count": said["count"] + 1, "digest": digest, "new": [1]}
    beat = {**orjson.loads(heartbeat), "digest": digest, "new": None}
    lines = [orjson.dumps(each) + b"\n" for each in ({"t": "news", "x": 1}, more, beat)]
    files[STREAM] = b"".join([*before, lines[0], news, *lines[1:], bye])

    with gate(files, tmp_path) as asked:
        asked.follow()

        assert asked.decide(0, "active", model="m", max_tokens=10)["code"] == "allowed"
        assert asked.decide(0, "later", model="m", max_tokens=10)["code"] == "key_revoked"
        assert asked.follower.standing().reason == "bye: deploy"


# ---- today's portal ----


@pytest.fixture
def today(app, sessions, settings, clock):
    return golden.make(app, sessions, settings, clock)


def test_todays_portal_and_gateway_say_what_the_newest_release_said(today):
    """To the byte. Where it is meant that they do not: a field or a kind of state that is new to gateways
    needs a new WIRE_VERSION; anything else, the folder of the release that brings it."""
    files = golden.read(NEWEST)
    released = orjson.loads(files.pop("release.json"))["wire_version"]
    if released != WIRE_VERSION:
        pytest.skip(f"the wire has version {WIRE_VERSION}, and no release has it yet")

    differing = [name for name, content in files.items() if today.get(name) != content]
    assert not differing, (
        f"{differing} of {NEWEST} would differ: see Releasing in CONTRIBUTING. Before {NEWEST} is released, "
        f"remove its folder, run `make golden V={NEWEST}`, and read the diff."
    )
    assert today.keys() == files.keys()


@each_release
@on_one_database
def test_what_todays_portal_sends_has_the_form_that_a_gateway_of_the_release_reads(release, today):
    files = golden.read(release)
    if orjson.loads(files["release.json"])["wire_version"] != WIRE_VERSION:
        pytest.skip("gateways of this release are told to be too old")

    for name in LINES:
        assert forms_of(today[name]) == forms_of(files[name])


@each_release
@on_one_database
def test_todays_portal_answers_the_releases_reports_and_usage_as_it_did(
    release, app, sessions, settings, clock
):
    world, wire = World(app, sessions, settings, clock), Wire(app, enrol(sessions))
    with without_chance():
        world.begin()
        world.go_on()
    clock.advance(days=100)

    for kept in orjson.loads(golden.read(release)["exchanges.json"]):
        said = golden.post(wire, kept["what"], kept["request"])
        assert said == (kept["status"], kept["answer"]), kept["request"][:80]


def test_what_a_release_said_is_never_written_again():
    with pytest.raises(SystemExit, match="is there already"):
        golden.main(NEWEST)

    assert folder_of(NEWEST).exists()
