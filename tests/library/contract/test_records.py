"""Records of the sync API, their hashes, and the lines they travel in."""

import hashlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract import canonical, records
from plimsoll.contract.adjustments import Cap, Grant
from plimsoll.contract.records import (
    CheckpointRecord,
    Cursor,
    EntryRecord,
    KeyRecord,
    MalformedCursor,
    MalformedLine,
    OrgRecord,
    Put,
    UnreadableRecord,
)

CAP = Cap("*", "requests", "bucket", 60, 10, 10)
GRANT = Grant("grt_1", "sonnet-5", "requests", "window", "month", 500, None, 100, None)
KEY = KeyRecord("a" * 64, "org_1", "key_1", "live", "active", None, None, None, ())
SCOPED = KEY._replace(
    expires_at=1_795_400_000, models=("haiku-4.5",), networks=("10.0.0.0/8", "::1/128"), caps=(CAP,)
)


def key_data(**fields):
    return canonical.encode({**SCOPED.to_wire(), **fields})


@pytest.mark.parametrize("record", [KEY, SCOPED, SCOPED._replace(models=(), networks=())])
def test_a_key_record_survives_the_wire(record):
    assert KeyRecord.parse(canonical.encode(record.to_wire())) == record


def test_a_key_record_has_the_fields_of_the_specification():
    fields = "hash org lineage environment state expires_at models networks caps"

    assert set(KEY.to_wire()) == set(fields.split())


def test_names_and_objects_are_sorted_as_sent():
    record = KEY._replace(models=("b", "a"), caps=(CAP._replace(model="z"), CAP))

    wire = record.to_wire()

    assert wire["models"] == ["a", "b"]
    assert [cap["model"] for cap in wire["caps"]] == ["*", "z"]


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "expired"},
        {"state": ["active"]},
        {"environment": {}},
        {"environment": "prod"},
        {"hash": "a" * 63},
        {"hash": None},
        {"org": 5},
        {"lineage": None},
        {"expires_at": "2026"},
        {"expires_at": True},
        {"expires_at": -1},
        {"models": "haiku-4.5"},
        {"models": [5]},
        {"networks": ["10.0.0.1/8"]},
        {"networks": ["nowhere"]},
        {"networks": {}},
        {"caps": None},
        {"caps": [{"model": "*"}]},
        {"caps": [{**CAP._asdict(), "quota": -1}]},
        {"caps": [{**CAP._asdict(), "metric": "wishes"}]},
        {"scope": "everything"},
    ],
)
def test_a_key_record_that_is_not_understood_is_unreadable(fields):
    with pytest.raises(UnreadableRecord):
        KeyRecord.parse(key_data(**fields))


@pytest.mark.parametrize("name", KeyRecord._fields)
def test_a_key_record_without_one_of_its_fields_is_unreadable(name):
    fields = SCOPED.to_wire()
    del fields[name]

    with pytest.raises(UnreadableRecord):
        KeyRecord.parse(canonical.encode(fields))


@given(st.binary())
def test_any_bytes_are_a_record_or_unreadable(data):
    for kind in (KeyRecord, OrgRecord, EntryRecord, CheckpointRecord):
        with pytest.raises(UnreadableRecord):
            kind.parse(data)


def test_an_org_record_survives_the_wire():
    record = OrgRecord("build", "suspended", (GRANT,))

    assert OrgRecord.parse(canonical.encode(record.to_wire())) == record


def test_a_grant_is_sent_with_from_and_until():
    assert GRANT.to_wire()["from"] == 100
    assert GRANT.to_wire()["until"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"tier": None},
        {"state": "closed"},
        {"state": []},
        {"grants": None},
        {"grants": [{**GRANT.to_wire(), "from": None}]},
        {"grants": [{**GRANT.to_wire(), "id": 5}]},
        {"grants": [{**GRANT.to_wire(), "until": "soon"}]},
        {"note": ""},
    ],
)
def test_an_org_record_that_is_not_understood_is_unreadable(fields):
    wire = {**OrgRecord("build", "active", (GRANT,)).to_wire(), **fields}

    with pytest.raises(UnreadableRecord):
        OrgRecord.parse(canonical.encode(wire))


def test_an_entry_survives_the_wire_and_its_leaf_is_its_data():
    leaf = b'{"at":5,"body":{},"kind":"log.opened","seq":0}'

    entry = EntryRecord.parse(leaf)

    assert entry == EntryRecord(5, {}, "log.opened", 0)
    assert canonical.encode(entry.to_wire()) == leaf


def test_a_checkpoint_record_survives_the_wire():
    record = CheckpointRecord("a signed note\n")

    assert CheckpointRecord.parse(canonical.encode(record.to_wire())) == record
    with pytest.raises(UnreadableRecord):
        CheckpointRecord.parse(b'{"text":5}')


@pytest.mark.parametrize(
    "leaf",
    [
        '{"at":5,"body":{},"kind":"k","seq":0,"v":1}',
        '{"at":5, "body":{},"kind":"k","seq":0}',
        '{"at":true,"body":{},"kind":"k","seq":0}',
        '{"at":5,"body":{},"kind":"k","seq":-1}',
        '{"at":5,"body":[],"kind":"k","seq":0}',
        '{"at":5,"body":{},"kind":null,"seq":0}',
        "[]",
    ],
)
def test_an_entry_in_another_form_is_unreadable(leaf):
    with pytest.raises(UnreadableRecord):
        EntryRecord.parse(leaf.encode())


def test_a_record_hash_is_over_kind_id_and_the_data_as_sent():
    expected = hashlib.sha256(b'key\nkey_1\n{"a":1}').digest()

    assert records.record_hash("key", "key_1", b'{"a":1}') == expected
    assert records.record_hash("key", "key_1", b'{"a": 1}') != expected


@given(st.lists(st.binary(min_size=32, max_size=32)), st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order(hashes, order: random.Random):
    shuffled = list(hashes)
    order.shuffle(shuffled)

    assert records.digest_of(shuffled) == records.digest_of(hashes)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1), st.data())
def test_a_digest_carried_forward_is_that_of_what_is_left(hashes, data):
    gone = data.draw(st.integers(0, len(hashes) - 1))
    digest = 0
    for each in hashes:
        digest = records.digest_after(digest, added=each)

    digest = records.digest_after(digest, removed=hashes[gone])

    assert digest == records.digest_of(hashes[:gone] + hashes[gone + 1 :])
    assert 0 <= digest < records.DIGEST_MODULUS


def test_a_digest_is_written_as_64_hex_digits():
    assert records.digest_hex(255) == "0" * 62 + "ff"
    assert len(records.digest_hex(records.DIGEST_MODULUS - 1)) == 64


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**53 - 1), st.integers(0, 2**256 - 1))
def test_a_cursor_survives_its_text_form(epoch, revision, digest):
    cursor = Cursor.at(f"{epoch:032x}", revision, digest)

    assert Cursor.parse(str(cursor)) == cursor
    assert str(cursor).endswith(f".{revision}.{digest:064x}"[:-56])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "a" * 32 + ".1",
        "a" * 32 + ".1." + "b" * 7,
        "A" * 32 + ".1." + "b" * 8,
        "a" * 31 + ".1." + "b" * 8,
        "a" * 32 + ".01." + "b" * 8,
        "a" * 32 + ".-1." + "b" * 8,
        "a" * 32 + ".\u0663." + "b" * 8,
        "a" * 32 + ".9007199254740992." + "b" * 8,
        "a" * 32 + ".1." + "b" * 8 + "\n",
    ],
)
def test_anything_else_is_a_malformed_cursor(text):
    with pytest.raises(MalformedCursor):
        Cursor.parse(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_data_of_a_put_line_comes_back_byte_by_byte(text):
    data = canonical.encode({"text": text, "data": {"data": None}})

    line = records.put_line("checkpoint", "log", 7, data)

    assert records.split_put(line) == Put("checkpoint", "log", 7, data)
    assert records.split_put(line.removesuffix(b"\n")).data == data
    assert list(json.loads(line)) == ["t", "kind", "id", "rev", "data"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b'{"t":"commit","rev":1}\n',
        b'{"t":"put","id":"a","kind":"key","rev":1,"data":{}}\n',
        b'{"t":"put","kind":"key","id":"a","rev":-1,"data":{}}\n',
        b'{"t":"put","kind":"key","id":"a","rev":1,"data":{}}\n\n',
        b'{"t": "put","kind":"key","id":"a","rev":1,"data":{}}\n',
        b'{"t":"put","kind":"key","id":"a\\u0022","rev":1,"data":{}}\n',
    ],
)
def test_another_line_is_no_put_line(line):
    with pytest.raises(MalformedLine):
        records.split_put(line)


def test_the_other_lines_have_the_form_of_the_specification():
    lines = [
        records.hello_line(epoch="b7f0", since=1040, head=1042, heartbeat=5, now=1795400000),
        records.commit_line(rev=1043, count=1000123, digest="4e", now=1795400000),
        records.heartbeat_line(rev=1043, digest="4e", now=1795400005),
        records.bye_line(retry_ms=(0, 4000), reason="deploy"),
    ]

    assert b"".join(lines).decode().splitlines() == [
        '{"t":"hello","epoch":"b7f0","since":1040,"head":1042,"heartbeat":5,"now":1795400000}',
        '{"t":"commit","rev":1043,"count":1000123,"digest":"4e","now":1795400000}',
        '{"t":"heartbeat","rev":1043,"digest":"4e","now":1795400005}',
        '{"t":"bye","retry_ms":[0,4000],"reason":"deploy"}',
    ]
