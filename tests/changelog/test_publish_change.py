import json

import pytest
from sqlalchemy import select

from plimsoll.contract.effect import effect_of
from plimsoll.contract.limits import Cell, Kind
from portal.changelog.models import ChangeWords
from tests.support.change_files import CELL, change_file, in_days, unix

pytestmark = pytest.mark.usefixtures("catalog", "clock")

REQUESTS = Cell("build", "sonnet-5", "requests", Kind.BUCKET, 60)


def quota(log, days):
    return log().policy(unix(days)).limits[REQUESTS].limit.quota


def test_a_raise_is_in_force_at_once(run, log):
    done = run("changes", "publish", change_file(6000))

    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "2"
    assert quota(log, 0) == 6000


def test_a_cut_with_its_notice_takes_effect_at_its_instant(run, log):
    done = run("changes", "publish", change_file(effective_at=in_days(30)))

    assert done.stdout.splitlines()[-1] == "2"
    assert [quota(log, 29), quota(log, 30)] == [5000, 4000]


def test_publishing_is_journaled_and_the_words_are_kept(publish, journal, session):
    publish(change_file(6000))

    event = journal()[-1]
    assert (event.tag, event.actor_name) == ("change:published", "command line")
    assert event.details == {"number": 2, "title": "Fewer requests", "entry": 2}
    words = session.scalars(select(ChangeWords).where(ChangeWords.number == 2)).one()
    assert (words.version, words.reason) == (1, "Room for all.")


def test_up_to_a_minute_past_is_now(publish, log, clock):
    publish(change_file(6000, effective_at="2026-11-02T11:59:00Z"))

    assert log().history.changes[2].effective_at == int(clock.at.timestamp())


def test_what_is_replaced_is_withdrawn_in_the_same_second(publish, log):
    publish(change_file(effective_at=in_days(40)))

    publish(change_file(4500, effective_at=in_days(40), replaces=[2]))

    old, new = log().history.changes[2], log().history.changes[3]
    assert (old.status, old.replaced_by) == ("withdrawn", 3)
    assert old.withdrawn_at == new.announced_at
    assert quota(log, 40) == 4500


def test_a_milder_replacement_keeps_the_instant_of_what_it_replaces(publish, log, clock):
    publish(change_file(effective_at=in_days(31)))
    clock.advance(days=20)

    publish(change_file(4500, effective_at=in_days(31), replaces=[2]))

    assert [quota(log, 30), quota(log, 31)] == [5000, 4500]


def test_an_offer_is_withdrawn_with_its_replacement(publish, log):
    offer = {"tier": "build", "model": "opus-5", "offered": False}
    offer["replacement"] = {"tier": "build", "model": "sonnet-5"}
    content = {"title": "Goodbye", "reason": "Old.", "offers": [offer]}

    publish({**content, "effective_at": in_days(90)})

    assert effect_of(log().history, 2).is_retirement
    assert ("build", "opus-5") not in log().policy(unix(90)).offers


def file_with(**values):
    return lambda: change_file(**values)


def row_with(**values):
    return lambda: change_file(effective_at=in_days(30), rows=[{**CELL, "quota": 4000, **values}])


def without(name):
    return lambda: {key: value for key, value in change_file(6000).items() if key != name}


RAISE = {"class": "temporary_raise", "rows": [{**CELL, "quota": 6000}]}
BAD = {
    "too little notice": (
        file_with(effective_at=in_days(29, hours=23)),
        "lowers Build · Sonnet 5 · requests per minute from 5,000 to 4,000. 30 days' notice",
    ),
    "at once": (file_with(), "the earliest effective time is 2026-12-02 12:00 UTC"),
    "empty diff": (lambda: change_file(5000), "changes nothing"),
    "no rows": (file_with(rows=[]), "changes nothing"),
    "unknown tier": (row_with(tier="gold"), "there is no tier gold"),
    "unknown model": (row_with(model="gpt"), "there is no model gpt"),
    "unknown metric": (row_with(metric="smiles"), "rows[0].metric: "),
    "the past": (lambda: change_file(6000, effective_at=in_days(0, hours=-1)), "past"),
    "no reason": (without("reason"), "reason: is missing"),
    "an empty reason": (file_with(reason=" "), "reason: must not be empty"),
    "no title": (without("title"), "title: is missing"),
    "raise without an end": (file_with(**RAISE), "expires_at: must say when it ends"),
    "emergency over 72 h": (
        file_with(**{"class": "emergency_cut", "expires_at": in_days(3, hours=1)}),
        "72 hours",
    ),
    "from given": (row_with(**{"from": {"quota": 5000}}), "rows[0].from: "),
    "announced_at given": (file_with(announced_at=in_days(0)), "announced_at: "),
    "replaces nothing": (file_with(replaces=[7]), "there is no change 7"),
    "not whole": (row_with(quota="4000"), "rows[0].quota: must be a whole number"),
    "no instant": (file_with(effective_at="tomorrow"), "effective_at: must be an instant"),
    "not JSON": (lambda: "{", "cannot be read as JSON"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD.keys())
def test_what_is_unlawful_is_refused_with_its_reason_and_changes_nothing(
    run, counts, tmp_path, make, reason
):
    before, path = counts(), tmp_path / "change.json"
    content = make()
    path.write_text(content if isinstance(content, str) else json.dumps(content))

    done = run("changes", "publish", path)

    assert done.exit_code == 1
    assert done.stderr.count(reason) == 1
    assert done.stdout == ""
    assert counts() == before


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_two_raises_that_make_a_cut_are_refused(publish, run, log):
    publish(change_file(9000, effective_at=in_days(20)))

    done = run("changes", "publish", change_file(6000, effective_at=in_days(25)))

    assert done.exit_code == 1
    assert "from 9,000 to 6,000" in done.stderr


def test_after_a_refusal_a_lawful_change_is_published(run, publish):
    run("changes", "publish", change_file())

    assert publish(change_file(6000)) == 2
