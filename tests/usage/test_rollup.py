"""Figures are packed when their hour or day is over, and dropped when they are old; sums stay."""

import random

from sqlalchemy import select

from portal.core import migrations
from portal.usage import jobs, rollup
from portal.usage.jobs import keep
from portal.usage.models import (
    HourPack,
    MinutePack,
    RefusedHour,
    UsageDay,
    UsageHour,
    UsageMinute,
)
from portal.usage.packing import unpack


def packed_requests(sessions, model):
    with sessions() as session:
        packs = session.scalars(select(model.counts)).all()
    return sum(each.requests for pack in packs for each in unpack(pack).values())


def test_an_hour_is_packed_when_it_is_over_and_a_day_likewise(
    line, key, row, sessions, total, clock
):
    line.send(*(row(key, number, ago=60 - number) for number in range(1, 61)))
    clock.advance(minutes=9)
    assert keep(sessions) == 0

    clock.advance(minutes=1)
    assert keep(sessions) == 1
    assert packed_requests(sessions, MinutePack) == sum(range(60))
    assert total(UsageMinute) == 60, "the minute that has begun with the new hour"
    assert total(UsageHour) == sum(range(61))

    clock.advance(days=1)
    keep(sessions)
    assert packed_requests(sessions, HourPack) == sum(range(61))
    assert total(UsageMinute) == total(UsageHour) == 0
    assert keep(sessions) == 0


def test_what_comes_late_is_packed_into_the_same_value(line, key, row, sessions, clock):
    line.send(row(key, 3, ago=61, output_tokens=10))
    clock.advance(minutes=10)
    keep(sessions)

    line.send(row(key, 4, ago=71, output_tokens=-2), row(key, 1, ago=72))
    keep(sessions)

    with sessions() as session:
        (pack,) = session.scalars(select(MinutePack.counts)).all()
    assert [(each.requests, each.output_tokens) for each in unpack(pack).values()] == [
        (1, 0),
        (7, 8),
    ]


def test_many_small_chunks_lose_nothing(line, key, other_key, row, sessions, clock, monkeypatch):
    monkeypatch.setattr(rollup, "CHUNK", 7)
    chance, wanted = random.Random(1), 0  # noqa: S311 -- the same every time
    for _ in range(5):
        rows = []
        for _ in range(20):
            count = chance.randrange(-3, 50)
            of = chance.choice([key, other_key])
            rows.append(row(of, count, ago=chance.randrange(500), model=chance.choice("ab")))
            wanted += count
        line.send(*rows)
        clock.advance(hours=1)
        keep(sessions)
    clock.advance(days=1)
    keep(sessions)

    assert packed_requests(sessions, MinutePack) == packed_requests(sessions, HourPack) == wanted


def test_minutes_go_after_35_days_and_the_rest_after_400(line, key, row, sessions, total, clock):
    line.send(row(key, 5, refused={"x": 1}))
    clock.advance(days=35, hours=2)
    keep(sessions)
    assert packed_requests(sessions, MinutePack) == 0
    assert packed_requests(sessions, HourPack) == total(UsageDay) == 5

    clock.advance(days=366)
    keep(sessions)
    assert packed_requests(sessions, HourPack) == total(UsageDay) == 0
    assert total(RefusedHour, "count") == 0


def test_the_job_looks_once_a_minute_and_writes_only_when_something_is_due(
    line, key, row, sessions, clock, count_queries
):
    (job,) = jobs.jobs(sessions)
    job.run()
    with count_queries() as queries:
        job.run()
    assert len(queries) == 0

    line.send(row(key, ago=120))
    clock.advance(seconds=jobs.LOOK_EVERY.seconds)
    assert job.run() == 1


def test_days_packed_before_there_were_sums_get_theirs_by_the_upgrade(
    line, key, row, sessions, settings, clock
):
    line.send(row(key, 12, input_tokens=-4), row(key, 500, ago=60, refused={"x": 1}))
    clock.advance(days=1, hours=1)
    keep(sessions)
    sums = select(HourPack.requests, HourPack.refused, HourPack.input_tokens)
    with sessions() as session:
        before = session.execute(sums.order_by(HourPack.day)).all()

    migrations.downgrade(settings.database_url, "564e0603d2f7")
    migrations.upgrade(settings.database_url)

    with sessions() as session:
        assert session.execute(sums.order_by(HourPack.day)).all() == before
    assert before == [(512, 1, -4)]
