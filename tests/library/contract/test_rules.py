"""How a log begins, and that nothing else may follow yet."""

import base64

import pytest

from plimsoll.contract import rules
from plimsoll.contract.rules import DEFAULT_NOTICE, RuleBroken, RuleCode
from tests.library.contract.samples import EFFECTIVE_AT, OPENED_AT, announced, body, opened, tier

NOW = EFFECTIVE_AT


def opened_body(**fields):
    return {**opened()["body"], **fields}


def broken(entries, new, now=NOW):
    with pytest.raises(RuleBroken) as refused:
        rules.check(entries, new, now)
    return refused.value


def test_a_log_begins_with_its_opening_and_change_1():
    rules.check([], opened(), OPENED_AT)
    rules.check([opened()], announced(), NOW)


def test_change_1_may_be_effective_later():
    rules.check([opened()], announced(body=body(effective_at=NOW + 1)), NOW)


def test_the_first_change_is_announced_once():
    second = {**announced(), "seq": 2}

    assert broken([opened(), announced()], second).code is RuleCode.CHANGE_NUMBER


@pytest.mark.parametrize("kind", ["log.opened", "change.withdrawn", "policy.changed", "", None])
def test_nothing_but_change_1_follows_the_opening(kind):
    assert broken([opened()], announced(kind=kind)).code is RuleCode.KIND


def test_a_log_cannot_begin_with_a_change():
    assert broken([], announced(seq=0)).code is RuleCode.KIND


@pytest.mark.parametrize("seq", [0, 2])
def test_seq_is_dense(seq):
    assert broken([opened()], announced(seq=seq)).code is RuleCode.SEQ


def test_at_does_not_fall():
    assert broken([opened()], announced(at=OPENED_AT - 1)).code is RuleCode.AT


def test_an_entry_is_not_logged_ahead_of_its_time():
    assert broken([opened()], announced(), NOW - 1).code is RuleCode.AT


def test_a_change_is_not_effective_before_it_is_announced():
    retroactive = announced(body=body(effective_at=NOW - 1))

    assert broken([opened()], retroactive).code is RuleCode.EFFECTIVE_AT


def test_the_first_change_is_number_1():
    assert broken([opened()], announced(body=body(change=2))).code is RuleCode.CHANGE_NUMBER


def test_before_change_1_there_is_no_limit_to_change():
    rows = [{**row, "from": {"quota": 5, "burst": None}} for row in body()["rows"][-1:]]

    assert rows[0]["kind"] == "window"
    assert broken([opened()], announced(body=body(rows=rows))).code is RuleCode.FROM


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        (opened(note=""), "note"),
        (opened(at=True), "at"),
        (opened(seq="0"), "seq"),
        (opened(body=[]), "body"),
        (opened(body=opened_body(version=1)), "body.version"),
        (opened(body=opened_body(origin="https://127.0.0.1/log")), "body.origin"),
        (opened(body=opened_body(origin="127.0.0.1:5000")), "body.origin"),
        (opened(body=opened_body(origin=None)), "body.origin"),
        (opened(body=opened_body(public_key="AAAA")), "body.public_key"),
        (opened(body=opened_body(public_key="é")), "body.public_key"),
        (opened(body=opened_body(public_key=None)), "body.public_key"),
        (opened(body=opened_body(public_key="A" * 42 + "B=")), "body.public_key"),
        (opened(body=opened_body(notice={})), "body.notice."),
        (
            opened(body=opened_body(notice={**DEFAULT_NOTICE, "tightening_seconds": -1})),
            "body.notice.tightening_seconds",
        ),
        (
            opened(body=opened_body(notice={**DEFAULT_NOTICE, "tightening_seconds": True})),
            "body.notice.tightening_seconds",
        ),
        (opened(body=opened_body(notice={**DEFAULT_NOTICE, "grace": 1})), "body.notice.grace"),
    ],
)
def test_an_opening_in_another_form_is_refused_with_the_path(entry, path):
    refused = broken([], entry)

    assert refused.code is RuleCode.FORM
    assert refused.text.startswith(path)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"colour": "red"}, "colour"),
        ({"id": "chg_1"}, "id"),
        ({"id": "chg_" + "u" * 26}, "id"),
        ({"title": " padded "}, "title"),
        ({"title": "Cafe\u0301"}, "title"),
        ({"reason_sha256": "0" * 63}, "reason_sha256"),
        ({"effective_at": None}, "effective_at"),
        ({"expires_at": NOW + 5}, "expires_at"),
        ({"class": "sudden"}, "class"),
        ({"class": "emergency_cut", "expires_at": NOW + 5}, "class"),
        ({"rows": body()["rows"][::-1]}, "rows"),
        ({"rows": body()["rows"] * 2}, "rows[2]"),
        ({"tiers": body()["tiers"][:1]}, "offers[0].tier"),
        ({"tiers": [tier("build", rank=7), tier("start", rank=7)]}, "tiers[1].rank"),
        ({"offers": [{"tier": "start", "model": "sonnet-5"}]}, "offers"),
        ({"models": []}, "offers[0].model"),
        ({"counting": {"reserve": {}}}, "counting.texts"),
    ],
)
def test_a_first_change_in_another_form_is_refused_with_the_path(fields, path):
    refused = broken([opened()], announced(body=body(**fields)))

    assert refused.code is RuleCode.FORM
    assert refused.text.startswith(path)


@pytest.mark.parametrize(
    "values",
    [
        {"from": None, "to": None},
        {"to": {"quota": 5}},
        {"to": {"quota": 5, "burst": None}},
        {"to": {"quota": True, "burst": 1}},
        {"to": {"quota": 5, "burst": 5, "soft": 1}},
        {"to": {"quota": 5.0, "burst": 5}},
    ],
)
def test_a_row_needs_whole_and_known_values(values):
    bucket = {**body()["rows"][0], **values}

    assert broken([opened()], announced(body=body(rows=[bucket]))).code is RuleCode.FORM


def test_a_withdrawn_offer_cannot_open_a_log():
    replacement = {"tier": "build", "model": "sonnet-5"}
    offer = {"tier": "start", "model": "sonnet-5", "offered": False, "replacement": replacement}

    assert broken([opened()], announced(body=body(offers=[offer]))).code is RuleCode.NOTHING


def test_an_entry_above_a_mebibyte_is_refused():
    huge = announced(body=body(title="a" * 2**20))

    assert "bytes" in broken([opened()], huge).text


def test_values_without_canonical_text_are_refused():
    assert broken([opened()], announced(body=body(title="\ud800"))).code is RuleCode.FORM


def test_the_default_notice_is_that_of_the_published_table():
    day = 86_400

    assert DEFAULT_NOTICE["tightening_seconds"] == 30 * day
    assert DEFAULT_NOTICE["retirement_seconds"] == 90 * day
    assert DEFAULT_NOTICE["emergency_seconds"] == 3 * day
    assert base64.b64decode(opened()["body"]["public_key"]) == bytes(32)
