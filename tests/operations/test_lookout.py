"""Who looks is looked at, too: a lookout that fails is one that does not look, and no gateway stops it."""

import pytest
from sqlalchemy import text

from portal.core.jobs import run_all
from portal.housekeeping import all_jobs
from portal.operations.queries import is_watched, list_failing_jobs

pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def break_log(sessions):
    """What every look reads is gone."""
    with sessions.kw["bind"].connect().execution_options(portal_write=True) as link:
        link.execute(text("DELETE FROM log_checkpoint"))
        link.commit()


def test_a_lookout_that_always_raises_does_not_count_as_looking(
    sessions, settings, clock, break_log
):
    alerts = [job for job in all_jobs(sessions, settings) if job.name == "alerts"]

    for _ in range(3):
        clock.advance(minutes=1)
        assert run_all(alerts) == {"alerts": -1}

    with sessions() as session:
        assert not is_watched(session)
        assert [job.name for job in list_failing_jobs(session)] == ["alerts"]


@pytest.mark.parametrize(
    ("field", "report"),
    [
        ("health", {"health": {"link": "diverged", "log": "a\0b"}}),
        ("health", {"health": {"lo\0g": "ok"}}),
        ("health", {"health": {"log": "a\x1b[2Jb"}}),
        (
            "nacks",
            {"nacks": [{"kind": "checkpoint", "id": "log", "code": "log_forked", "text": "\0"}]},
        ),
    ],
)
def test_no_report_of_one_gateway_stops_the_alerts_of_all(wire, looking, told, field, report):
    """PostgreSQL keeps no NUL in a text: the alert could never be written."""
    assert wire.report(None, health={"link": "diverged"}).status_code == 200

    answer = wire.report(None, **report)

    assert (answer.status_code, answer.json["field"]) == (422, field)
    assert looking() == 1
    assert told() == ["Gateway diverged: gw-eu-1"]
