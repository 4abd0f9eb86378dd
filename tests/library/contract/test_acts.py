"""What the rule asks of each later entry, and of what a change holds besides limits."""

import pytest

from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import effect_of
from plimsoll.contract.fold import NOT_UNDERSTOOD, fold
from plimsoll.contract.history import State, read
from plimsoll.contract.limits import Cell, Kind
from plimsoll.contract.rules import DEFAULT_NOTICE, NotUnderstood, RuleCode
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_OPUS,
    DAY,
    HOUR,
    REASON,
    START,
    START_CELL,
    Chronicle,
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


@pytest.fixture
def log() -> Chronicle:
    """Build has 5,000 requests a minute with Sonnet 5 since day 0."""
    return Chronicle()


def build(**fields):
    return tier("build", **{"rank": 2, "entry": "request", **fields})


def notice_of(log, **fields):
    """Days of notice that a change with these fields needs, found by trying; None if it is void."""
    refused = None
    for days in (0, 30, 90):
        entry = log.announcement(DAY, effective=(1 + days) * DAY, **fields)
        twin = log.twin()
        try:
            twin.log(entry)
        except ValueError as error:
            refused = error
            continue
        if days:
            second_less = log.announcement(DAY, effective=(1 + days) * DAY - 1, **fields)
            assert log.refused(second_less).earliest == START + (1 + days) * DAY
        return days
    raise AssertionError(refused)


# ---- offers ----


def test_a_withdrawn_offer_needs_90_days_and_what_replaces_it(log):
    retired = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]

    assert notice_of(log, offers=retired) == 90
    number = log.announce(DAY, offers=retired, effective=91 * DAY)
    assert effect_of(log.history, number).is_retirement
    assert log.policy(91 * DAY - 1).offers - log.policy(91 * DAY).offers == {("build", "opus-5")}


def test_what_replaces_an_offer_stays_offered(log):
    retired = offer(("build", "opus-5"), replacement=("start", "opus-5"))
    itself = offer(("build", "opus-5"), replacement=("build", "opus-5"))
    each_other = [
        offer(("build", "opus-5"), replacement=("build", "sonnet-5")),
        offer(("build", "sonnet-5"), replacement=("build", "opus-5")),
    ]

    for offers in ([retired], [itself], each_other):
        assert log.refused(log.announcement(0, effective=95 * DAY, offers=offers))
    opened = [retired, offer(("start", "opus-5"))]
    log.announce(0, effective=95 * DAY, offers=opened)


def test_what_replaces_an_offer_is_not_withdrawn_before_it_does(log):
    first = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]
    second = [offer(("build", "sonnet-5"), replacement=("start", "sonnet-5"))]
    log.announce(0, effective=100 * DAY, offers=first)

    assert log.refused(log.announcement(0, effective=99 * DAY, offers=second))
    assert log.refused(log.announcement(0, effective=100 * DAY, offers=second))


def test_the_last_tier_of_automatic_entry_keeps_an_offer(log):
    retired = [offer(("start", "sonnet-5"), replacement=("build", "sonnet-5"))]

    assert log.refused(log.announcement(0, effective=95 * DAY, offers=retired))
    by_hand = log.announcement(
        0, effective=95 * DAY, tiers=[tier("start", entry="contact")], offers=[]
    )
    assert log.refused(by_hand)


def test_a_tier_is_retired_by_withdrawing_all_its_offers(log):
    retired = [
        offer(("build", model), replacement=("start", "sonnet-5"))
        for model in ("opus-5", "sonnet-5")
    ]

    assert notice_of(log, offers=retired) == 90
    log.announce(0, effective=90 * DAY, offers=retired)
    assert not log.policy(90 * DAY).has_offers("build")


def test_a_limit_of_what_is_not_offered_takes_nothing_away(log):
    opus = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)

    assert notice_of(log, rows={opus: 10}) == 0


def test_an_offer_that_comes_later_does_not_hide_a_cut_of_what_is_offered(log):
    log.announce(0, offers=[offer(("start", "opus-5"))], effective=40 * DAY)

    assert notice_of(log, rows={START_CELL: 999}) == 30


# ---- tiers ----


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        ({"entry": "contact"}, 30),
        ({"entry": "automatic"}, 0),
        ({"keys_max": 24}, 30),
        ({"keys_max": 26}, 0),
        ({"keys_max": None}, 0),
        ({"requirements": {"email_confirmed": True, "paid_microusd": 1}}, 30),
        ({"requirements": {"email_confirmed": True, "second_factor": False}}, 0),
        ({"requirements": {}}, 0),
        ({"requirements": {"second_factor": True}}, 30),
        ({"name": "Builders"}, 0),
        ({"description": "For applications in production."}, 0),
        ({"rank": 3}, 0),
    ],
)
def test_a_stricter_tier_needs_notice_and_a_kinder_one_does_not(log, fields, days):
    assert notice_of(log, tiers=[build(**fields)]) == days


def test_a_maximum_of_keys_where_none_was_needs_notice(log):
    log.announce(0, tiers=[build(keys_max=None)])

    assert notice_of(log, tiers=[build(keys_max=10**6)]) == 30


def test_a_harder_requirement_needs_notice_and_an_easier_one_does_not(log):
    log.announce(0, tiers=[build(requirements={"account_age_days": 7})], effective=30 * DAY)
    log.announce(30 * DAY, {BUILD: 5001})

    harder, easier = ([build(requirements={"account_age_days": days})] for days in (8, 6))

    assert log.refused(log.announcement(31 * DAY, tiers=harder)).earliest == START + 61 * DAY
    log.announce(31 * DAY, tiers=easier)


def test_two_tiers_do_not_share_a_rank(log):
    assert log.refused(log.announcement(0, tiers=[build(rank=1)]))


# ---- counting ----


@pytest.mark.parametrize(
    ("counting", "days"),
    [
        ({"reserve": {"build": {"output_tokens": 4097}}, "texts": {}}, 30),
        ({"reserve": {"build": {"output_tokens": 4095}}, "texts": {}}, 0),
        ({"reserve": {"build": {"total_tokens": 1}}, "texts": {}}, 30),
        ({"reserve": {}, "texts": {"requests": "Each request counts one, refused or not."}}, 30),
        ({"reserve": {}, "texts": {"concurrent_requests": "From admission to the end."}}, 0),
    ],
)
def test_a_counting_rule_needs_notice_unless_it_can_only_admit_more(log, counting, days):
    assert notice_of(log, counting=counting) == days


@pytest.mark.parametrize(
    ("first", "second", "later"),
    [
        ({"tiers": [build(keys_max=30)]}, {"tiers": [build(keys_max=50)]}, 30),
        (
            {"counting": {"reserve": {"build": {"output_tokens": 3000}}, "texts": {}}},
            {"counting": {"reserve": {"build": {"output_tokens": 2000}}, "texts": {}}},
            30,
        ),
    ],
)
def test_what_was_held_as_a_gain_does_not_come_back_as_a_loss_in_seven_days(
    log, first, second, later
):
    """As with limits: 7 days are for what was announced as a loss."""
    log.announce(0, effective=2 * DAY, **first)
    log.hold(2, at=DAY)
    log.announce(DAY, **second)

    seven = log.act("released", 2, at=2 * DAY, effective_at=9 * DAY)

    assert log.refused(seven).earliest == START + (2 + later) * DAY


@pytest.mark.parametrize(
    "fields",
    [
        {"tiers": [build(keys_max=20)]},
        {"counting": {"reserve": {"build": {"output_tokens": 5000}}, "texts": {}}},
        {"counting": {"reserve": {}, "texts": {"requests": "Each counts two."}}},
    ],
)
def test_what_was_announced_as_a_loss_is_released_after_seven_days(log, fields):
    log.announce(0, effective=30 * DAY, **fields)
    log.hold(2, at=29 * DAY)

    too_soon = log.act("released", 2, at=29 * DAY, effective_at=36 * DAY - 1)

    assert log.refused(too_soon).earliest == START + 36 * DAY
    log.release(2, at=29 * DAY, effective_at=36 * DAY)


def test_a_released_retirement_has_what_was_left(log):
    retired = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]
    log.announce(0, offers=retired, effective=90 * DAY)
    log.hold(2, at=30 * DAY)

    too_soon = log.act("released", 2, at=40 * DAY, effective_at=100 * DAY - 1)

    assert log.refused(too_soon).earliest == START + 100 * DAY


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


@pytest.mark.parametrize("kind", ["change.postponed", "policy.bent", "decision.recorded", "", "x"])
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


# ---- the notice policy ----


WEAKER = {
    "tightening_seconds": -1,
    "retirement_seconds": -1,
    "released_seconds": -1,
    "delivery_percent": -1,
    "delivery_seconds": 1,
    "emergency_seconds": 1,
    "emergency_extensions": 1,
    "emergency_pause_seconds": -1,
}


def test_each_field_of_the_notice_policy_has_a_weaker_side():
    assert WEAKER.keys() == DEFAULT_NOTICE.keys()


@pytest.mark.parametrize("name", WEAKER)
def test_a_weaker_notice_policy_falls_under_its_own_notice(log, name):
    weaker = {name: DEFAULT_NOTICE[name] + WEAKER[name]}
    days = 90 if name == "retirement_seconds" else 30

    refused = log.refused(log.policy_changed(0, effective=days * DAY - 1, **weaker))

    assert (refused.code, refused.earliest) == (RuleCode.NOTICE, START + days * DAY)
    log.log(log.policy_changed(0, effective=days * DAY, **weaker))
    assert log.history.notice_at(START + days * DAY - 1) == DEFAULT_NOTICE
    assert log.policy(days * DAY).notice == {**DEFAULT_NOTICE, **weaker}


@pytest.mark.parametrize("name", WEAKER)
def test_a_stricter_notice_policy_holds_at_once(log, name):
    log.log(log.policy_changed(0, effective=0, **{name: DEFAULT_NOTICE[name] - WEAKER[name]}))

    assert log.policy(0).notice[name] == DEFAULT_NOTICE[name] - WEAKER[name]


def test_what_is_weaker_in_one_point_is_weaker(log):
    mixed = {"tightening_seconds": 60 * DAY, "released_seconds": DAY}

    assert log.refused(log.policy_changed(0, effective=DAY, **mixed)).code is RuleCode.NOTICE


def test_the_policy_in_force_when_an_act_is_logged_applies(log):
    log.log(log.policy_changed(0, effective=40 * DAY, tightening_seconds=10 * DAY))

    before = log.announcement(40 * DAY - 1, {BUILD: 4000}, effective=50 * DAY)

    assert log.refused(before).earliest == START + 70 * DAY - 1
    log.announce(40 * DAY, {BUILD: 4000}, effective=50 * DAY)


def test_a_weakened_policy_weakens_itself_only_with_what_it_promises(log):
    log.log(log.policy_changed(0, effective=30 * DAY, tightening_seconds=10 * DAY))
    weaker = {"tightening_seconds": DAY}

    assert log.refused(log.policy_changed(30 * DAY - 1, effective=59 * DAY, **weaker))
    assert log.refused(log.policy_changed(30 * DAY, effective=40 * DAY - 1, **weaker))
    log.log(log.policy_changed(30 * DAY, effective=40 * DAY, **weaker))


def test_a_promised_stricter_policy_is_not_taken_back_at_once(log):
    log.log(log.policy_changed(0, effective=5 * DAY, tightening_seconds=60 * DAY))

    for at, effective in ((0, 4 * DAY), (0, 5 * DAY), (0, 6 * DAY), (6 * DAY, 36 * DAY)):
        back = log.policy_changed(at, effective=effective, tightening_seconds=45 * DAY)
        assert log.refused(back), effective
    log.log(log.policy_changed(6 * DAY, effective=66 * DAY, tightening_seconds=45 * DAY))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tightening_seconds": -1},
        {"delivery_percent": 101},
        {"tightening_seconds": True},
        {"grace_seconds": 5},
    ],
)
def test_a_notice_policy_in_another_form_or_unchanged_is_refused(log, fields):
    assert log.refused(log.policy_changed(0, effective=95 * DAY, **fields))


def test_a_policy_has_a_reason_and_no_past(log):
    late = log.policy_changed(DAY, effective=DAY - 1, tightening_seconds=40 * DAY)
    silent = log.policy_changed(DAY, effective=DAY, tightening_seconds=40 * DAY)
    silent["body"]["reason_sha256"] = EMPTY

    assert log.refused(late).code is RuleCode.EFFECTIVE_AT
    assert log.refused(silent).code is RuleCode.REASON


def test_a_policy_does_not_touch_what_is_announced(log):
    log.announce(0, {BUILD: 4000}, effective=31 * DAY)
    log.log(log.policy_changed(DAY, effective=DAY, tightening_seconds=60 * DAY))

    log.announce(DAY, {BUILD_OPUS: 4000}, effective=31 * DAY)

    assert log.quotas(31 * DAY) == [4000]
    assert effect_of(log.history, 2).direction is Direction.TIGHTENING
    assert [each.effective_at - START for each in log.history.policies] == [-DAY, DAY]
