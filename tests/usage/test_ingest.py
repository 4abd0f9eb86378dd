"""`POST /sync/v1/usage`: each batch counts once, or not at all with a reason."""

import pytest
from sqlalchemy import select

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.seal import SyncCommit
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey, KeyLastUse
from portal.sync.commands import remove_gateway
from portal.usage.models import (
    MeterCounter,
    RefusedBatch,
    RefusedHour,
    UsageDay,
    UsageHour,
    UsageMinute,
)

LIMIT = "build.opus-5.requests.1m"


def rows_of(sessions, model):
    with sessions() as session:
        return list(session.scalars(select(model)))


def test_a_batch_is_added_per_minute_hour_day_and_refusing_limit(line, key, row, sessions, clock):
    tokens = {"input_tokens": 500, "output_tokens": 80}
    first = row(key, 12, refused={LIMIT: 3, "key_paused": 1}, **tokens)

    answer = line.send(first, row(key, 2, ago=1), row(key, 1, model=None))

    assert (answer.status_code, answer.json) == (200, {"seq": 1})
    minutes = {(each.model, each.requests, each.refused) for each in rows_of(sessions, UsageMinute)}
    assert minutes == {("opus-5", 12, 4), ("opus-5", 2, 0), ("", 1, 0)}
    hours = {(each.key_id, each.model, each.requests) for each in rows_of(sessions, UsageHour)}
    # The clock stands at the beginning of an hour.
    assert hours == {(key, "opus-5", 12), (key, "opus-5", 2), (key, "", 1)}
    (day,) = rows_of(sessions, UsageDay)
    assert (day.requests, day.input_tokens, day.output_tokens) == (15, 500, 80)
    assert {(each.name, each.count) for each in rows_of(sessions, RefusedHour)} == {
        (LIMIT, 3),
        ("key_paused", 1),
    }
    (use,) = rows_of(sessions, KeyLastUse)
    assert (use.key_id, use.at, use.gateway) == (key, clock.at, "gw-1")


def test_the_same_batch_again_is_a_duplicate_and_adds_nothing(line, key, row, total):
    line.send(row(key, 5))

    again = line.post(line.batch(row(key, 5)))

    assert again.json == {"seq": 1, "duplicate": True}
    assert total() == total(UsageHour) == total(UsageDay) == 5


def test_a_gap_and_an_older_boot_are_told_what_is_expected(line, key, row, total):
    line.boot = 17
    line.send(row(key))
    answers = [
        line.post(line.batch(row(key), seq=3)),
        line.post(line.batch(row(key), boot=18, seq=2)),
        line.post(line.batch(row(key), boot=18, seq=1)),
        line.post(line.batch(row(key), boot=17, seq=2)),
    ]

    assert [(each.status_code, each.json) for each in answers] == [
        (409, {"expect": 2}),
        (409, {"expect": 1}),
        (200, {"seq": 1}),
        (409, {"boot": 18}),
    ]
    assert total() == 2


BAD_ROWS = [
    (["key_unheard-of", "m", {"requests": 1}, 60], "key_unknown"),
    (["KEY", "m", {"requests": 1}, 61], "row_invalid"),
    (["KEY", "m", {"requests": 1}, -60], "row_invalid"),
    (["KEY", "m", {"requests": 1.5}, 60], "row_invalid"),
    (["KEY", "m", {"requests": True}, 60], "row_invalid"),
    (["KEY", "m", {"requests": 2**53}, 60], "row_invalid"),
    (["KEY", "m", {"wishes": 1}, 60], "row_invalid"),
    (["KEY", "m", {"refused": {"x": "1"}}, 60], "row_invalid"),
    (["KEY", "m", {"refused": [1]}, 60], "row_invalid"),
    (["KEY", "m" * 65, {}, 60], "row_invalid"),
    (["KEY", "a\0", {}, 60], "row_invalid"),
    (["KEY", "m", [], 60], "row_invalid"),
    (["KEY", "m"], "row_invalid"),
    ({}, "row_invalid"),
    (7, "row_invalid"),
    (["KEY", "m", {}, 60 * 10**9], "minute_ahead"),
]


def test_a_bad_row_costs_its_batch_and_is_remembered(line, key, row, total, sessions):
    for seq, (template, code) in enumerate(BAD_ROWS, 1):
        is_ours = isinstance(template, list) and template[0] == "KEY"
        bad = [key, *template[1:]] if is_ours else template
        refused = line.send(row(key), bad)
        again = line.post(line.batch(row(key), bad))

        said = {"seq": seq, "row": 1, "code": code}
        assert (refused.status_code, refused.json) == (422, said), bad
        assert (again.status_code, again.json) == (422, said), bad
    after = line.send(row(key, 7))

    assert after.json == {"seq": len(BAD_ROWS) + 1}
    assert total() == total(UsageHour) == 7
    codes = [code for _, code in BAD_ROWS]
    assert [each.code for each in rows_of(sessions, RefusedBatch)] == codes


def test_what_has_no_place_in_the_order_advances_nothing(line, key, row, total):
    line.seq = 1
    wrong = [("boot", 0), ("seq", "1"), ("to", None), ("rows", {}), ("counters", 1)]
    for field, value in wrong:
        refused = line.post(line.batch(row(key)) | {field: value})
        assert (refused.status_code, refused.json["field"]) == (422, field)
    assert line.post([]).status_code == line.post("{").status_code == 422

    assert line.post(line.batch(row(key))).json == {"seq": 1}
    assert total() == 1


def test_rows_of_revoked_keys_count(line, key, row, total, sessions, cast):
    with sessions() as session, transaction(session):
        held = session.get_one(ApiKey, key, with_for_update=True)
        revoke_key(session, actor=cast.ada.actor, key=held, reason="Lost.")

    assert line.send(row(key, 3, refused={"key_revoked": 9})).status_code == 200
    assert total() == 3


def test_what_is_settled_later_is_taken_off_again(line, key, row, total):
    line.send(row(key, 1, output_tokens=4000))
    line.send(row(key, -1, output_tokens=-4000, input_tokens=-2))

    assert total() == total(column="output_tokens") == 0
    assert total(column="input_tokens") == -2


def test_counters_are_kept_as_the_gateway_last_told_them(line, key, sessions, cast, clock):
    now = int(clock.at.timestamp())
    bucket = {"used": 43, "quota": 50, "full_at": now + 52, "at": now}
    line.send(counters=[[cast.acme.id, LIMIT, bucket | {"used": 1}], ["org_gone", LIMIT, bucket]])
    flying = {"used": 2, "quota": 5, "at": now}
    line.send(
        counters=[
            [cast.acme.id, LIMIT, bucket],
            [cast.acme.id, "build.opus-5.concurrent_requests.now", flying],
            [key, "cap.opus-5.requests.1m", bucket],
        ]
    )

    found = {each.name: each for each in rows_of(sessions, MeterCounter)}
    assert found[LIMIT].used == 43
    assert found[LIMIT].full_at == now + 52
    assert {each.org_id for each in found.values()} == {cast.acme.id}

    # What was in flight ended with the process.
    line.boot, line.seq = 2, 0
    line.send()
    assert {each.name for each in rows_of(sessions, MeterCounter)} == {
        LIMIT,
        "cap.opus-5.requests.1m",
    }


def test_a_counter_that_cannot_be_read_costs_the_batch(line, key, row, cast, total):
    for bad in ([cast.acme.id, LIMIT, {"used": "much"}], [cast.acme.id, LIMIT, 7], 7):
        refused = line.send(row(key), counters=[bad])
        said = {"seq": line.seq, "row": None, "code": "counters_invalid"}
        assert (refused.status_code, refused.json) == (422, said)

    assert total() == 0


def test_a_removed_gateway_is_heard_no_more_and_its_counters_are_gone(
    line, key, row, cast, sessions, clock
):
    now = int(clock.at.timestamp())
    line.send(counters=[[cast.acme.id, LIMIT, {"used": 1, "quota": 2, "at": now}]])
    with sessions() as session, transaction(session):
        remove_gateway(session, actor=CLI, name="gw-1")

    assert line.send(row(key)).status_code == 401
    assert rows_of(sessions, MeterCounter) == []


def test_ingest_touches_nothing_that_gateways_hear_of(line, key, row, sessions):
    before = rows_of(sessions, SyncCommit)[-1].revision

    line.send(row(key))

    assert rows_of(sessions, SyncCommit)[-1].revision == before


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_revocation_waits_for_no_batch_and_no_batch_for_a_revocation(
    line, key, row, sessions, cast
):
    """A foreign key on the tables of usage would make one wait for the other."""
    with sessions() as session, transaction(session):
        held = session.get_one(ApiKey, key, with_for_update=True)
        revoke_key(session, actor=cast.ada.actor, key=held, reason="Lost.")
        session.flush()  # the row is locked now, and the batch comes while it is

        assert line.send(row(key)).status_code == 200
