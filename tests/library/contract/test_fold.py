"""Limits at an instant follow from the entries, and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.contract.fold import NOT_UNDERSTOOD, Policy, fold
from plimsoll.contract.limits import Cell, Kind
from tests.library.contract.samples import CHANGE_ID, EFFECTIVE_AT, announced, body, opened, tier

CELL = Cell("start", "sonnet-5", "requests", Kind.BUCKET, 60)
SPEND = Cell("start", "*", "spend_microusd", Kind.WINDOW, "month")
LOG = [opened(), announced()]
NOTHING_NEW = body(models=[], tiers=[], offers=[], rows=[], counting={"reserve": {}, "texts": {}})


def wire_row(cell, *, before, after):
    def values(quota):
        burst = quota if cell.kind is Kind.BUCKET else None
        return None if quota is None else {"quota": quota, "burst": burst}

    return {**cell.to_wire(), "from": values(before), "to": values(after)}


def later(number, *, at, effective_at, **fields):
    """A later lasting change; the fold itself asks no rule."""
    changed = {
        **NOTHING_NEW,
        "change": number,
        "id": CHANGE_ID[:-1] + str(number),
        "effective_at": effective_at,
        **fields,
    }
    return {"at": at, "seq": number, "kind": "change.announced", "body": changed}


@st.composite
def logs(draw):
    """A log of lasting changes of one cell, announced in order and effective in any."""
    log, at = list(LOG), EFFECTIVE_AT
    for number in range(2, 2 + draw(st.integers(0, 5))):
        at += draw(st.integers(0, 100))
        quota = draw(st.one_of(st.none(), st.integers(1, 9)))
        rows = [wire_row(CELL, before=99, after=quota)]
        effective_at = at + draw(st.integers(0, 300))
        log.append(later(number, at=at, effective_at=effective_at, rows=rows))
    return log


INSTANTS = st.integers(EFFECTIVE_AT - 10, EFFECTIVE_AT + 900)


def test_before_change_1_is_effective_there_is_nothing():
    before = fold(LOG, EFFECTIVE_AT - 1)

    assert (before.limits, before.tiers, before.offers) == ({}, {}, frozenset())
    assert before.starting_tier() is None


def test_from_its_effective_instant_on_the_change_holds():
    policy = fold(LOG, EFFECTIVE_AT)

    assert policy.limits[CELL].limit.quota == 1000
    assert (policy.limits[CELL].since, policy.limits[CELL].change) == (EFFECTIVE_AT, 1)
    assert policy.problem is None


def test_an_announced_change_is_listed_before_it_is_effective():
    change = fold(LOG, EFFECTIVE_AT - 1).changes[1]

    assert (change.seq, change.announced_at) == (1, EFFECTIVE_AT)
    assert change.announcement.title == "Our limits"


def test_what_was_logged_at_the_instant_itself_was_known_then():
    assert CELL in fold(LOG, 2**40, EFFECTIVE_AT).limits
    assert fold(LOG, 2**40, EFFECTIVE_AT - 1).changes == {}


@given(logs(), INSTANTS)
def test_entries_after_the_instant_known_at_change_nothing(log, instant):
    known = [entry for entry in log if entry["at"] <= instant]

    assert fold(log, instant + 50, instant) == fold(known, instant + 50)


@given(logs(), INSTANTS, INSTANTS)
def test_between_two_effective_instants_nothing_moves(log, first, second):
    first, second = sorted((first, second))
    effective = {entry["body"].get("effective_at", 0) for entry in log}

    if not any(first < instant <= second for instant in effective):
        assert fold(log, first) == fold(log, second)


@given(logs(), INSTANTS)
def test_the_latest_effective_change_has_the_last_word_and_ties_go_by_number(log, instant):
    effective = [entry["body"] for entry in log[1:] if entry["body"]["effective_at"] <= instant]
    effective.sort(key=lambda body: (body["effective_at"], body["change"]))
    quotas = [row["to"] for body in effective for row in body["rows"] if row["kind"] == "bucket"]

    held = fold(log, instant).limits.get(CELL)

    assert (held and held.limit.values()) == (quotas[-1] if quotas else None)


@given(logs(), INSTANTS)
def test_folding_a_log_twice_gives_the_same(log, instant):
    assert fold(log, instant) == fold(log, instant)


def test_a_row_without_a_limit_after_removes_the_cell():
    rows = [wire_row(CELL, before=1000, after=None)]

    policy = fold(
        [*LOG, later(2, at=EFFECTIVE_AT, effective_at=EFFECTIVE_AT + 5, rows=rows)], 2**40
    )

    assert CELL not in policy.limits
    assert SPEND in policy.limits


def test_later_changes_add_models_tiers_offers_and_counting():
    fields = {
        "models": [{"slug": "opus-5", "name": "Opus 5"}],
        "tiers": [tier("build", rank=2, keys_max=None)],
        "offers": [
            {"tier": "build", "model": "opus-5", "offered": True, "replacement": None},
            {
                "tier": "build",
                "model": "sonnet-5",
                "offered": False,
                "replacement": {"tier": "build", "model": "opus-5"},
            },
        ],
        "counting": {"reserve": {"start": {"output_tokens": 1}}, "texts": {}},
    }

    policy = fold([*LOG, later(2, at=EFFECTIVE_AT, effective_at=EFFECTIVE_AT, **fields)], 2**40)

    assert policy.offers == {("start", "sonnet-5"), ("build", "opus-5")}
    assert policy.tiers["build"].keys_max is None
    assert (policy.models.keys(), policy.reserve("start", "output_tokens")) == (
        {"sonnet-5", "opus-5"},
        1,
    )
    assert policy.counting["texts"] == {"requests": "Each admitted request counts one."}


@pytest.mark.parametrize(
    "entry",
    [
        {**announced(), "kind": "change.postponed"},
        announced(body=body(colour="red")),
        announced(body=body(change=0)),
        announced(body={}),
        announced(body=body(rows=[{**body()["rows"][0], "soft": True}])),
        announced(body=body(**{"class": "temporary_raise"}, expires_at=2**40)),
    ],
)
def test_folding_stops_at_an_entry_that_is_not_understood(entry):
    rows = [wire_row(CELL, before=1000, after=5)]
    after = later(3, at=EFFECTIVE_AT, effective_at=EFFECTIVE_AT, rows=rows)

    policy = fold([*LOG, entry, after], 2**40)

    assert policy.problem == NOT_UNDERSTOOD
    assert policy.limits == fold(LOG, 2**40).limits


@pytest.mark.parametrize("kind", ["decision.recorded", "key.rotated", "new.kind"])
def test_entries_that_are_no_changes_do_not_touch_limits(kind):
    other = {"at": EFFECTIVE_AT, "seq": 2, "kind": kind, "body": {}}

    assert fold([*LOG, other], 2**40) == fold(LOG, 2**40)


def test_a_request_meets_the_limits_of_its_model_and_the_shared_ones():
    policy = fold(LOG, EFFECTIVE_AT)

    assert [held.limit.cell for held in policy.limits_for("start", "sonnet-5")] == [CELL, SPEND]
    assert [held.limit.cell for held in policy.limits_for("start", None)] == [SPEND]
    assert policy.limits_for("build", "sonnet-5") == ()


def test_an_organisation_starts_on_the_lowest_automatic_tier_that_offers_something():
    policy = fold(LOG, EFFECTIVE_AT)
    retired = Policy(tiers=policy.tiers)

    assert policy.starting_tier() == policy.tiers["start"]
    assert [tier.slug for tier in policy.tiers_by_rank()] == ["start", "build"]
    assert retired.starting_tier() is None


def test_where_no_reserve_is_published_nothing_is_reserved():
    policy = fold(LOG, EFFECTIVE_AT)

    assert policy.reserve("start", "output_tokens") == 4096
    assert policy.reserve("build", "output_tokens") == 0
