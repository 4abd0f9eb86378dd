"""From what somebody writes to what is announced: the log says where it starts, nobody else."""

from random import Random

import pytest

from plimsoll.contract.announcement import Announcement, hash_reason
from plimsoll.contract.draft import compose, parse_draft, withdrawals
from plimsoll.contract.effect import effect_of
from plimsoll.contract.history import read
from plimsoll.contract.limits import Cell, InvalidField, Kind
from plimsoll.contract.rules import NotUnderstood, RuleBroken
from tests.library.contract import naive
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_HOUR,
    BUILD_OPUS,
    DAY,
    RESERVE,
    SPEND,
    START,
    START_CELL,
    TEXTS,
    offer,
    values,
)
from tests.library.contract.histories import CELLS, histories
from tests.library.contract.samples import tier

CHANGE_ID = "chg_" + "9" * 26


def file(rows=None, **fields):
    """The JSON of a change file; rows by cell."""
    wire = [
        {**cell.to_wire(), "quota": None, **(values(cell, given) or {})}
        for cell, given in (rows or {}).items()
    ]
    return {"title": "New limits", "reason": "We have measured again.", "rows": wire, **fields}


def composed(log, written, *, at=0):
    return compose(log.history, parse_draft(written), at=START + at, change_id=CHANGE_ID)


def entry_of(log, announced, *, at):
    return log.entry("change.announced", announced.to_wire(), at)


# ---- the diff ----


def test_the_diff_applied_to_the_old_gives_the_new():
    """Random drafts on random logs: what was asked for holds, and nothing else has moved."""
    rng, composed_ones = Random(12), 0  # noqa: S311 -- no secret
    logs, _ = histories(77, 30)
    for log in logs:
        history, now = read(log), log[-1]["at"]
        for _ in range(12):
            at = rng.choice([now, now + 1, *(each for each in history.instants() if each > now)])
            wanted = {
                cell: rng.choice((None, rng.randint(1, 9) * 1000))
                for cell in rng.sample(CELLS, rng.randint(1, 3))
            }
            try:
                announced = compose(
                    history, parse_draft(file(wanted, effective_at=at)), at=now, change_id=CHANGE_ID
                )
            except InvalidField:
                continue
            composed_ones += 1
            check_diff(log, announced, wanted)
    assert composed_ones > 200


def check_diff(log, announced, wanted):
    at, body = announced.effective_at, announced.to_wire()
    assert Announcement.parse(body).to_wire() == body
    entry = {"at": log[-1]["at"], "seq": len(log), "kind": "change.announced", "body": body}
    before = naive.lasting(naive.changes(log), at).limits
    after = naive.lasting(naive.changes([*log, entry]), at).limits
    for row in body["rows"]:
        assert before.get(naive.cell_of(row)) == naive.values_of(row["from"])
        assert after.get(naive.cell_of(row)) == naive.values_of(row["to"])
    moved = {cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell)}
    assert moved == {naive.cell_of(row) for row in body["rows"]}
    for cell, given in wanted.items():
        assert after.get(naive.cell_of(cell.to_wire())) == naive.values_of(values(cell, given))
    history = read([*log, entry])
    effect = effect_of(history, announced.change)
    assert {(item.cell, item.before, item.after) for item in effect.items} == {
        (row.cell, row.before, row.after) for row in announced.rows
    }
    assert history.lasting(at).limits.keys() == effect.after.limits.keys()


def test_a_whole_draft_becomes_a_lawful_change(log):
    scale = Cell("scale", "fable-5", "requests", Kind.BUCKET, 60)
    written = file(
        {scale: (20_000, 9000), BUILD: 6000, START_CELL: None},
        effective_at="2026-12-01T06:00:00+01:00",
        models=[{"slug": "fable-5", "name": "Fable 5"}],
        tiers=[tier("scale", rank=3, entry="contact")],
        offers=[{"tier": "scale", "model": "fable-5"}],
        counting={"reserve": {"scale": {"output_tokens": 1}}, "texts": {"total_tokens": "Both."}},
    )

    announced = composed(log, written)
    log.log(entry_of(log, announced, at=0))

    assert announced.effective_at == START + 8 * DAY
    assert announced.reason_sha256 == hash_reason("We have measured again.")
    assert log.quotas(8 * DAY - 1, 8 * DAY) == [5000, 6000]
    assert log.quota(8 * DAY, START_CELL) is None
    assert log.policy(8 * DAY).limits[scale].limit.values() == {"quota": 20_000, "burst": 9000}
    assert log.policy(8 * DAY).reserve("scale", "output_tokens") == 1


def test_what_changes_nothing_is_left_out(log):
    written = file(
        {BUILD: 6000, BUILD_OPUS: 3000, BUILD_HOUR: None},
        models=[{"slug": "opus-5", "name": "Opus 5"}, {"slug": "opus-6", "name": "Opus 6"}],
        tiers=[tier("start"), tier("build", rank=2, entry="request", keys_max=26)],
        offers=[{"tier": "build", "model": "opus-5"}, {"tier": "start", "model": "opus-5"}],
        counting={
            "reserve": {
                "build": {"output_tokens": 4096, "total_tokens": 1},
                "start": RESERVE["start"],
            },
            "texts": {**TEXTS, "input_tokens": "Each."},
        },
    )

    body = composed(log, written).to_wire()

    assert [row["model"] for row in body["rows"]] == ["sonnet-5"]
    assert [model["slug"] for model in body["models"]] == ["opus-6"]
    assert [each["slug"] for each in body["tiers"]] == ["build"]
    assert body["offers"] == [offer(("start", "opus-5"))]
    assert body["counting"] == {
        "reserve": {"build": {"total_tokens": 1}},
        "texts": {"input_tokens": "Each."},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rows": {BUILD: 5000, BUILD_HOUR: None}},
        {"counting": {"reserve": RESERVE, "texts": TEXTS}},
        {"offers": [{"tier": "build", "model": "opus-5"}], "counting": {}},
        {"tiers": [tier("start")], "models": [{"slug": "opus-5", "name": "Opus 5"}]},
    ],
)
def test_a_draft_that_changes_nothing_is_refused(log, fields):
    with pytest.raises(InvalidField, match="changes nothing") as refused:
        composed(log, file(**fields))

    assert refused.value.path == ""


def test_a_draft_starts_from_what_stands_at_its_instant(log):
    log.announce(0, {BUILD: 6000}, effective=DAY)
    log.announce(0, {BUILD: 9000}, effective=0, expires=40 * DAY, **{"class": "temporary_raise"})

    starts = [
        composed(log, file({BUILD: 7000}, effective_at=START + at)).rows[0].before.quota
        for at in (0, DAY - 1, DAY)
    ]

    assert starts == [5000, 5000, 6000]
    with pytest.raises(InvalidField, match="nothing"):
        composed(log, file({BUILD: 6000}, effective_at=START + DAY))


def test_what_is_given_for_a_time_starts_from_its_own_layer(log):
    log.announce(0, {BUILD: 9000}, expires=40 * DAY, **{"class": "temporary_raise"})
    ends = {"expires_at": START + 2 * DAY}

    more = composed(log, file({BUILD: 9500}, **ends, **{"class": "temporary_raise"}), at=DAY)
    less = composed(log, file({BUILD: 100}, **ends, **{"class": "emergency_cut"}), at=DAY)

    assert (more.rows[0].before.quota, less.rows[0].before.quota) == (5000, 9000)
    log.log(entry_of(log, more, at=DAY))


# ---- what it replaces ----


def test_a_draft_that_replaces_starts_as_if_that_had_never_been_announced(log):
    log.announce(0, {BUILD: 4000, SPEND: 2 * 10**9}, effective=40 * DAY)
    written = file({BUILD: 4500}, effective_at=START + 40 * DAY, replaces=[2])

    announced = composed(log, written, at=25 * DAY)

    assert announced.rows[0].before.quota == 5000
    for act in withdrawals(parse_draft(written), number=3):
        log.log(log.entry(act.kind, act.to_wire(), 25 * DAY))
    assert composed(log, written, at=25 * DAY) == announced
    log.log(entry_of(log, announced, at=25 * DAY))
    assert log.quotas(40 * DAY - 1, 40 * DAY) == [5000, 4500]
    assert log.history.changes[2].replaced_by == 3
    assert log.quota(41 * DAY, SPEND) == 10**9


def test_a_draft_that_replaces_several_is_judged_as_one_timeline(log):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    log.announce(0, {BUILD_OPUS: 2000}, effective=41 * DAY)
    written = file({BUILD: 4500, BUILD_OPUS: 2500}, effective_at=START + 41 * DAY, replaces=[3, 2])

    announced = composed(log, written, at=39 * DAY)
    for act in withdrawals(parse_draft(written), number=4):
        log.log(log.entry(act.kind, act.to_wire(), 39 * DAY))
    log.log(entry_of(log, announced, at=39 * DAY))

    assert log.quotas(41 * DAY - 1, 41 * DAY) == [5000, 4500]
    assert [log.history.changes[number].replaced_by for number in (2, 3)] == [4, 4]


@pytest.mark.parametrize("replaces", [[9], [0], ["2"], [2, 2], 2])
def test_only_what_is_there_is_replaced(log, replaces):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)

    with pytest.raises(InvalidField) as refused:
        composed(log, file({BUILD: 4500}, replaces=replaces))

    assert refused.value.path.startswith("replaces")


# ---- what stands in a file ----


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"from": 5}, "from"),
        ({"announced_at": START}, "announced_at"),
        ({"change": 2}, "change"),
        ({"direction": "loosening"}, "direction"),
        ({"title": ""}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"reason": " \n"}, "reason"),
        ({"class": "permanent"}, "class"),
        ({"effective_at": "2026-12-01"}, "effective_at"),
        ({"effective_at": "2026-12-01T00:00:00"}, "effective_at"),
        ({"effective_at": "2026-12-01T00:00:00.5Z"}, "effective_at"),
        ({"effective_at": "2026-02-30T00:00:00Z"}, "effective_at"),
        ({"effective_at": "9999-12-31T23:59:59-23:59"}, "effective_at"),
        ({"effective_at": 5.0}, "effective_at"),
        ({"effective_at": True}, "effective_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"rows": [{**BUILD.to_wire(), "quota": 5, "from": 4}]}, "rows[0].from"),
        ({"rows": [{**BUILD.to_wire(), "to": 4}]}, "rows[0].to"),
        ({"rows": [BUILD.to_wire()]}, "rows[0].quota"),
        ({"rows": [{**BUILD.to_wire(), "quota": -1}]}, "rows[0].quota"),
        ({"rows": [{**BUILD.to_wire(), "quota": 5, "metric": "calls"}]}, "rows[0].metric"),
        ({"rows": [{**BUILD.to_wire(), "quota": each} for each in (5, 6)]}, "rows[1]"),
        ({"models": {}}, "models"),
        ({"tiers": [tier("start"), tier("start", rank=4)]}, "tiers[1].slug"),
        (
            {"offers": [{"tier": "build", "model": "opus-5", "offered": False}]},
            "offers[0].replacement",
        ),
        ({"counting": []}, "counting"),
        ({"counting": {"reserves": {}}}, "counting.reserves"),
    ],
)
def test_a_file_in_another_form_is_refused_with_the_path(fields, path):
    with pytest.raises(InvalidField) as refused:
        parse_draft(file(**fields) if "rows" not in fields else {**file(), **fields})

    assert refused.value.path == path


@pytest.mark.parametrize("missing", ["title", "reason"])
def test_a_file_has_a_title_and_a_reason(missing):
    written = file({BUILD: 6000})
    del written[missing]

    with pytest.raises(InvalidField) as refused:
        parse_draft(written)

    assert refused.value.path == missing


@pytest.mark.parametrize(
    ("written", "offset"),
    [
        ("2026-11-23T05:00:00Z", 0),
        ("2026-11-23T06:00:00+01:00", 0),
        ("2026-11-22t21:30:00-07:30", 0),
        ("2026-11-23T05:00:01z", 1),
    ],
)
def test_instants_are_read_with_their_offset(written, offset):
    assert parse_draft(file(effective_at=written)).effective_at == START + offset


@pytest.mark.parametrize(("given", "meant"), [(None, 0), (0, 0), (-1, 0), (-60, 0), (1, 1)])
def test_no_instant_and_one_just_passed_mean_now(log, given, meant):
    effective_at = None if given is None else START + given

    announced = composed(log, file({BUILD: 6000}, effective_at=effective_at))

    assert announced.effective_at == START + meant
    log.log(entry_of(log, announced, at=0))


def test_the_past_is_refused(log):
    with pytest.raises(InvalidField) as refused:
        composed(log, file({BUILD: 6000}, effective_at=START - 61))

    assert refused.value.path == "effective_at"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"class": "temporary_raise"}, "expires_at"),
        ({"class": "emergency_cut"}, "expires_at"),
        ({"expires_at": START + DAY}, "expires_at"),
    ],
)
def test_an_end_belongs_to_what_is_given_for_a_time(log, fields, path):
    with pytest.raises(InvalidField) as refused:
        composed(log, file({BUILD: 6000}, **fields))

    assert refused.value.path == path


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rows": {Cell("gold", "opus-5", "requests", Kind.BUCKET, 60): 5}}, "gold"),
        ({"rows": {Cell("build", "gpt", "requests", Kind.BUCKET, 60): 5}}, "gpt"),
        ({"offers": [{"tier": "gold", "model": "opus-5"}]}, "gold"),
        ({"counting": {"reserve": {"gold": {"output_tokens": 5}}}}, "gold"),
    ],
)
def test_a_draft_names_only_what_is_known(log, fields, named):
    with pytest.raises(InvalidField, match=named):
        composed(log, file(**fields))


# ---- a base that moved ----


def test_the_rule_refuses_a_draft_whose_base_moved(log):
    announced = composed(log, file({BUILD: 7000}))
    log.announce(0, {BUILD: 6000})

    stale = log.entry("change.announced", {**announced.to_wire(), "change": 3}, 0)

    with pytest.raises(RuleBroken, match="from") as refused:
        log.log(stale)
    assert not isinstance(refused.value, NotUnderstood)
