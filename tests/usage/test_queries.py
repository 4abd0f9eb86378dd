"""Rows and packs are read as one, of one organisation alone; the meter is the gateways' own counters."""

import random

import pytest

from plimsoll.contract.limits import Cell, Kind, Limit
from plimsoll.contract.windows import gauge_of
from portal.core import clock as core_clock
from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.commands import assign_tier
from portal.usage.jobs import keep
from portal.usage.meter import gauge, meter
from portal.usage.models import MeterCounter
from portal.usage.packing import Figures, total
from portal.usage.queries import Span, active_days, refused_by_limit, series_of
from tests.support.factories import make_grant
from tests.support.wire import Line, Wire, enrol

LIMIT = "start.opus-5.requests.1m"


@pytest.fixture
def read(sessions, cast):
    def act(query, *arguments, org=cast.acme, **named):
        with sessions() as session:
            return query(session, org.id, *arguments, **named)

    return act


@pytest.fixture
def last():
    """A span of the hours before now."""

    def act(hours, step):
        end = core_clock.timestamp() // 3600 * 3600 + 3600
        return Span(end - hours * 3600, end, step)

    return act


def test_series_are_the_same_before_and_after_packing(line, key, row, read, last, clock, sessions):
    line.send(
        *(row(key, 1, ago=ago, model=model) for ago in range(0, 180, 7) for model in ("a", None)),
        row(key, 0, ago=5, input_tokens=-4, refused={LIMIT: 2}),
    )
    spans = [
        (last(6, 60), "model"),
        (last(6, 3600), "model"),
        (last(24, 3600), "key"),
        (last(24 * 60, 86_400), "model"),
    ]
    before = [read(series_of, span, by=by) for span, by in spans]
    clock.advance(days=1, hours=1)
    assert keep(sessions) > 0

    after = [read(series_of, span, by=by) for span, by in spans]

    assert after == before
    assert set(before[0]) == {"a", "", "opus-5"}
    assert set(before[2]) == {key}
    assert total(each for line in before[0].values() for each in line.values()) == Figures(
        52, 2, -4, 0
    )


def test_a_step_finer_than_what_is_kept_is_refused(read, last):
    for span, by in ((last(24, 60), "key"), (last(24 * 40, 60), "model"), (last(1, 90), "model")):
        with pytest.raises(ValueError, match="steps of"):
            read(series_of, span, by=by)


def test_no_figure_of_another_organisation_is_in_any_answer(
    line, key, other_key, row, read, last, cast, clock
):
    now = int(clock.at.timestamp())
    used = {"used": 9, "quota": 50, "full_at": now + 60, "at": now}
    line.send(row(other_key, 7, refused={LIMIT: 3}), counters=[[cast.delta.id, LIMIT, used]])

    for by in ("model", "key"):
        assert read(series_of, last(24, 3600), by=by) == {}
    assert read(refused_by_limit, last(24, 3600)) == {}
    assert read(active_days) == 0
    assert {each.used for each in read(meter, now)} == {0}
    assert read(active_days, org=cast.delta) == 1
    assert read(refused_by_limit, last(24, 3600), org=cast.delta) == {LIMIT: 3}


def of(gauges, name=LIMIT):
    (found,) = [each for each in gauges if each.limit.cell.name == name]
    return found


def test_the_meter_adds_up_local_gateways_and_falls_as_the_bucket_does(
    line, app, sessions, cast, read, clock
):
    now = int(clock.at.timestamp())
    other = Line(Wire(app, enrol(sessions, "gw-2")), clock)
    used = {"used": 600, "quota": 1000, "full_at": now + 36, "at": now}
    line.send(counters=[[cast.acme.id, LIMIT, used]])
    other.send(counters=[[cast.acme.id, LIMIT, used | {"used": 200, "full_at": now + 12}]])

    at_once, later, at_end = (of(read(meter, now + seconds)) for seconds in (0, 18, 36))

    assert (at_once.used, at_once.full_at, at_once.gateways) == (800, now + 36, 2)
    assert (later.used, later.full_at) == (300, now + 36)
    assert (at_end.used, at_end.full_at, at_end.heard_at) == (0, None, now)


def test_gateways_that_share_a_counter_count_once_and_the_newest_is_shown(
    line, app, sessions, cast, read, clock
):
    now, other = int(clock.at.timestamp()), Wire(app, enrol(sessions, "gw-2"))
    second = Line(other, clock)
    for wire in (line._wire, other):
        wire.report(None, health={"counters": "shared"})
    used = {"used": 30, "quota": 50, "full_at": now + 36, "at": now}
    line.send(counters=[[cast.acme.id, LIMIT, used]])
    second.send(counters=[[cast.acme.id, LIMIT, used | {"used": 31, "at": now + 1}]])

    found = of(read(meter, now + 1))

    assert (found.used, found.gateways) == (31, 1)


def test_what_is_used_stays_on_the_meter_through_a_move_and_a_grant_lifts_the_line(
    line, sessions, cast, read, clock
):
    now = int(clock.at.timestamp())
    line.send(
        counters=[[cast.acme.id, LIMIT, {"used": 9, "quota": 50, "full_at": now + 60, "at": now}]]
    )
    quota = of(read(meter, now)).quota
    with sessions() as session, transaction(session):
        make_grant(session, org=session.get_one(Org, cast.acme.id), quota=quota + 5)
    assert of(read(meter, now)).quota == quota + 5

    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id, with_for_update=True)
        assign_tier(session, actor=cast.root.actor, org=org, tier="build", reason="They grow.")

    assert of(read(meter, now), "build.opus-5.requests.1m").used == 9


def test_a_window_is_empty_when_it_is_over(line, cast, read, clock):
    now, name = int(clock.at.timestamp()), "start.all.spend_microusd.month"
    used = {"used": 4, "quota": 50, "resets_at": now + 600, "at": now}
    line.send(counters=[[cast.acme.id, name, used]])

    assert [of(read(meter, now + seconds), name).used for seconds in (599, 600)] == [4, 0]


def test_requests_in_flight_stand_until_they_end():
    limit = Limit(Cell("start", "m", "concurrent_requests", Kind.CONCURRENCY, None), 5)
    counter = MeterCounter(gateway_id="gw", used=4, quota=5, at=0, is_shared=False)

    assert gauge(limit, [counter], 10_000).used == 4


@pytest.mark.parametrize(
    ("old", "new", "period"),
    [(1000, 10, 86_400), (10, 1000, 86_400), (10**6, 1, 60), (10**6, 10**6, 60), (7, 0, 60)],
)
def test_a_bucket_under_another_quota_is_as_full_as_at_the_gate(old, new, period):
    """The gate goes by the present quota for all the time since; told are whole seconds."""
    chance = random.Random(old + new)  # noqa: S311 -- the same every time
    cell = Cell("start", "m", "input_tokens", Kind.BUCKET, period)
    before, after = (Limit(cell, quota, quota) for quota in (old, new))
    gate = gauge_of(after)
    for _ in range(200):
        now = chance.randrange(10_000, 20_000)
        state = gauge_of(before).charge((0, 0), chance.randint(1, old), now)
        later = chance.randrange(now, 30_000)
        state = gauge_of(before).charge(state, chance.randint(0, old), later)
        told = MeterCounter(
            gateway_id="gw",
            used=gauge_of(before).used(state, later),
            quota=old,
            at=-(-later // 1000),
            full_at=-(-gauge_of(before).free_at_ms(state, later) // 1000),
            is_shared=False,
        )
        at = told.at + chance.randrange(3 * period)

        found = gauge(after, [told], at)

        at_gate = gate.used(state, at * 1000)
        assert at_gate <= found.used <= at_gate + 2 + 2 * max(old, new) // period
        assert (found.full_at is None) == (found.used == 0 or new == 0)
        assert found.full_at is None or not gate.used(state, found.full_at * 1000)


def test_a_bucket_told_of_under_a_quota_of_nothing_empties_when_there_is_one_again():
    limit = Limit(Cell("start", "m", "requests", Kind.BUCKET, 60), 10, 10)
    told = MeterCounter(gateway_id="gw", used=4, quota=0, at=100, is_shared=False)

    found = [gauge(limit, [told], at) for at in (100, 106, 124)]

    assert [(each.used, each.full_at) for each in found] == [(4, 124), (3, 124), (0, None)]
