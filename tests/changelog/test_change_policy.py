import pytest
from sqlalchemy import select

from portal.changelog.models import NoticeWords
from tests.support.change_files import change_file, in_days, unix

pytestmark = pytest.mark.usefixtures("catalog", "clock")

DAY = 86_400


def policy_file(days, **values):
    return {"notice": {"tightening_seconds": days * DAY}, "reason": "We learnt.", **values}


def test_a_stronger_promise_holds_at_once(run, log, session, journal):
    done = run("policy", "publish", policy_file(45))

    assert done.exit_code == 0, done.output
    assert log().history.notice_at(unix(0))["tightening_seconds"] == 45 * DAY
    assert session.scalars(select(NoticeWords.reason)).all() == ["We learnt."]
    event = journal()[-1]
    assert (event.tag, event.details["tightening_seconds"]) == ("notice:changed", 45 * DAY)


def test_a_stronger_promise_binds_the_next_change(run):
    run("policy", "publish", policy_file(45))

    done = run("changes", "publish", change_file(effective_at=in_days(40)))

    assert "45 days' notice are promised" in done.stderr


def test_a_weaker_promise_needs_the_notice_of_the_present_one(run, log):
    run("policy", "publish", policy_file(14, effective_at=in_days(30)))

    notice = log().history.notice_at
    assert notice(unix(29))["tightening_seconds"] == 30 * DAY
    assert notice(unix(30))["tightening_seconds"] == 14 * DAY


BAD = {
    "weaker inside its own notice": (policy_file(14, effective_at=in_days(29)), "weakens"),
    "nothing new": (policy_file(30), "nothing would change"),
    "unknown field": ({"notice": {"kindness": 1}, "reason": "x"}, "notice.kindness: "),
    "no reason": ({"notice": {"tightening_seconds": 1}}, "reason: is missing"),
    "a half": ({"notice": {"tightening_seconds": "long"}, "reason": "x"}, "whole number"),
    "over all": ({"notice": {"delivery_percent": 101}, "reason": "x"}, "must be 100 or less"),
}


@pytest.mark.parametrize(("content", "text"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_promised_is_refused_and_changes_nothing(run, counts, content, text):
    before = counts()

    done = run("policy", "publish", content)

    assert done.exit_code == 1
    assert text in done.stderr
    assert counts() == before
