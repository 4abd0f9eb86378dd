"""What the rule asks of each later entry, and of what a change holds besides limits."""

import pytest

from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.fold import NOT_UNDERSTOOD, fold
from plimsoll.contract.history import State, read
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.rules import NotUnderstood, RuleCode
from tests.library.contract.chronicle import (
    BUILD,
    DAY,
    HOUR,
    REASON,
    START,
    offer,
)
from tests.library.contract.samples import tier

EMPTY = hash_reason("")
OTHER = hash_reason("Other words.")
ACTS = {
    "held": {},
    "released": {"effective_at": 99 * DAY},
    "rescheduled": {"effective_at": 99 * DAY},
    "withdrawn": {},
    "amended": {"title": "Newer words"},
}


def build(**fields):
    return tier("build", **{"rank": 2, "entry": "request", **fields})


# ---- an announcement by itself ----


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"reason_sha256": EMPTY}, RuleCode.REASON),
        ({"effective": -1}, RuleCode.EFFECTIVE_AT),
        ({"change": 1}, RuleCode.CHANGE_NUMBER),
        ({"change": 3}, RuleCode.CHANGE_NUMBER),
        ({"id": f"chg_{1:026d}"}, RuleCode.CHANGE_NUMBER),
    ],
)
def test_an_announcement_in_the_wrong_place_is_refused(log, fields, code):
    assert log.refused(log.announcement(0, {BUILD: 6000}, **fields)).code is code


@pytest.mark.parametrize(
    "row",
    [
        {"from": {"quota": 4999, "burst": 4999}, "to": {"quota": 6000, "burst": 6000}},
        {"from": {"quota": 5000, "burst": 4999}, "to": {"quota": 6000, "burst": 6000}},
        {"from": None, "to": {"quota": 6000, "burst": 6000}},
    ],
)
def test_what_a_change_starts_from_is_what_stands_then(log, row):
    wire = {**BUILD.to_wire(), **row}

    assert log.refused(log.announcement(0, rows=[wire])).code is RuleCode.FROM


def test_what_a_change_starts_from_is_what_stands_at_its_instant_not_now(log):
    log.announce(0, {BUILD: 6000}, effective=DAY)
    stale = {"from": {"quota": 5000, "burst": 5000}, "to": {"quota": 5500, "burst": 5500}}

    late = log.announcement(0, effective=DAY, rows=[{**BUILD.to_wire(), **stale}])

    assert log.refused(late).code is RuleCode.FROM
    log.log(log.announcement(0, effective=DAY - 1, rows=[{**BUILD.to_wire(), **stale}]))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"models": [{"slug": "opus-5", "name": "Opus 5"}]},
        {"tiers": [build()]},
        {"offers": [offer(("build", "opus-5"))]},
        {"counting": {"reserve": {"build": {"output_tokens": 4096}}, "texts": {}}},
        {"counting": {"reserve": {}, "texts": {"requests": "Each admitted request counts one."}}},
    ],
)
def test_a_change_that_changes_nothing_is_refused(log, fields):
    assert log.refused(log.announcement(0, **fields)).code is RuleCode.NOTHING


def test_beside_what_changes_nothing_else_is_said(log):
    padded = log.announcement(0, {BUILD: 6000}, offers=[offer(("build", "opus-5"))])

    assert log.refused(padded).code is RuleCode.NOTHING


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rows": {Cell("gold", "sonnet-5", "requests", Kind.BUCKET, 60): 5}}, "gold"),
        ({"rows": {Cell("build", "gpt", "requests", Kind.BUCKET, 60): 5}}, "gpt"),
        ({"rows": {Cell("build", "sonnet-5", "calls", Kind.BUCKET, 60): 5}}, "metric"),
        ({"rows": {Cell("build", "sonnet-5", "requests", Kind.WINDOW, 60): 10**9}}, "kind"),
        ({"offers": [offer(("gold", "opus-5"))]}, "gold"),
        ({"counting": {"reserve": {"gold": {"output_tokens": 5}}, "texts": {}}}, "gold"),
        ({"counting": {"reserve": {}, "texts": {"calls": "Each."}}}, "calls"),
    ],
)
def test_what_nobody_knows_is_refused_by_name(log, fields, named):
    refused = log.refused(log.announcement(0, effective=95 * DAY, **fields))

    assert named in refused.text


def test_what_comes_later_is_not_known_before(log):
    opus = Cell("scale", "opus-5", "requests", Kind.BUCKET, 60)
    log.announce(0, tiers=[tier("scale", rank=3)], effective=10 * DAY)

    assert log.refused(log.announcement(0, {opus: 5}, effective=10 * DAY - 1))
    log.announce(0, {opus: 5}, effective=10 * DAY)


def test_a_change_is_not_moved_before_what_it_stands_on(log):
    opus = Cell("scale", "opus-5", "requests", Kind.BUCKET, 60)
    log.announce(0, tiers=[tier("scale", rank=3)], effective=10 * DAY)
    log.announce(0, {opus: 5}, effective=20 * DAY)

    assert log.refused(log.act("rescheduled", 3, at=0, effective_at=9 * DAY))
    assert log.refused(log.act("rescheduled", 2, at=0, effective_at=21 * DAY))


# ---- acts by themselves ----


@pytest.mark.parametrize("kind", ACTS)
def test_an_act_on_a_change_that_is_not_there_is_refused(log, kind):
    assert log.refused(log.act(kind, 2, at=0, **ACTS[kind])).code is RuleCode.CHANGE_NUMBER


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("spoil", [{"colour": "red"}, {"announced_at": 5}])
def test_an_act_with_a_field_of_a_newer_form_is_not_understood(log, kind, spoil):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    newer = log.act(kind, 2, at=0, **ACTS[kind], **spoil)

    assert isinstance(log.refused(newer), NotUnderstood)
    assert fold([*log.entries, newer], START + 50 * DAY).problem == NOT_UNDERSTOOD
    assert log.quota(50 * DAY) == 4000


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("held", {"reason": ""}),
        ("held", {"reason": "a" * 201}),
        ("held", {"reason": "two\nlines"}),
        ("held", {"reason": None}),
        ("released", {"effective_at": None}),
        ("rescheduled", {"effective_at": 50 * DAY, "expires_at": 60 * DAY}),
        ("rescheduled", {"effective_at": 40 * DAY}),
        ("rescheduled", {"effective_at": -1}),
        ("withdrawn", {"replaced_by": 0}),
        ("withdrawn", {"replaced_by": "3"}),
        ("amended", {"title": ""}),
        ("amended", {"title": "New limits"}),
        ("amended", {"title": "Newer words", "reason_sha256": EMPTY}),
        ("amended", {"title": "Newer words", "reason_sha256": "0" * 63}),
    ],
)
def test_an_act_in_another_form_is_refused(log, kind, fields):
    log.announce(0, {BUILD: 4000}, effective=40 * DAY)
    if kind == "released":
        log.hold(2, at=0)

    refused = log.refused(log.act(kind, 2, at=DAY if kind != "held" else 0, **fields))

    assert not isinstance(refused, NotUnderstood)


def test_words_are_amended_at_any_time_and_all_versions_stay(log):
    log.announce(0, {BUILD: 6000}, effective=DAY)
    log.log(log.act("amended", 2, at=1, title="Newer words"))
    log.log(log.act("amended", 2, at=9 * DAY, title="Newer words", reason_sha256=OTHER))

    change = log.history.changes[2]

    assert [(each.version, each.at - START) for each in change.wordings] == [
        (1, 0),
        (2, 1),
        (3, 9 * DAY),
    ]
    assert [each.reason_sha256 for each in change.wordings] == [REASON, REASON, OTHER]
    assert (change.title, change.reason_sha256) == ("Newer words", OTHER)
    assert change.announcement.title == "New limits"
    assert change.seqs == (2, 3, 4)
    assert read(log.entries, START + 1).changes[2].wordings == change.wordings[:2]
    assert log.quotas(DAY - 1, DAY) == [5000, 6000]


def test_a_change_goes_through_its_states(log):
    log.announce(0, {BUILD: 6000}, effective=DAY)
    log.hold(2, at=HOUR)
    log.release(2, at=2 * HOUR, effective_at=3 * HOUR)
    log.announce(0 + 2 * HOUR, {BUILD: 7000}, effective=DAY)
    log.withdraw(3, at=2 * HOUR)

    def state(number, at):
        return read(log.entries, START + at).changes[number].state(START + at)

    assert [state(2, at) for at in (0, HOUR, 2 * HOUR, 3 * HOUR)] == [
        State.ANNOUNCED,
        State.HELD,
        State.ANNOUNCED,
        State.EFFECTIVE,
    ]
    assert state(3, 2 * HOUR) is State.WITHDRAWN
    assert [step.kind for step in log.history.changes[2].steps] == [
        "change.held",
        "change.released",
    ]
    assert log.history.changes[3].withdraw_reason == "It is not needed."


# ---- unknown kinds ----


@pytest.mark.parametrize("kind", ["change.postponed", "policy.bent", "decision.taken", "", "x"])
def test_an_unknown_kind_is_not_understood(log, kind):
    assert isinstance(log.refused(log.entry(kind, {"change": 1}, 0)), NotUnderstood)


@pytest.mark.parametrize("kind", [None, 5, [], {}])
def test_a_kind_that_is_no_text_is_refused(log, kind):
    assert log.refused(log.entry(kind, {"change": 1}, 0))


@pytest.mark.parametrize("kind", ["change.postponed", "policy.bent"])
def test_nothing_after_an_entry_that_is_not_understood_is_read(log, kind):
    later = log.announcement(DAY, {BUILD: 6000})
    strange = log.entry(kind, {"change": 1}, 0)
    after = [*log.entries, strange, {**later, "seq": 3}]

    policy = fold(after, START + 2 * DAY)

    assert (policy.problem, policy.limits[BUILD].limit.quota) == (NOT_UNDERSTOOD, 5000)
    assert fold(after, START + 2 * DAY, START - 1).problem is None
    twin = log.twin()
    twin.entries.append(strange)
    twin.history.append(strange)
    assert isinstance(twin.refused(twin.announcement(DAY, {BUILD: 6000})), NotUnderstood)


def test_a_log_is_opened_once(log):
    again = {**log.entries[0], "seq": 2, "at": START}

    assert log.refused(again).code is RuleCode.KIND
