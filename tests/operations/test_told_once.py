"""The job runs twice, and in two processes at once: an alert opens once, is told once, and ends once."""

import threading

import pytest
from sqlalchemy import select

from portal.core.db import make_engine, make_sessions
from portal.operations.jobs import look
from portal.operations.models import Alert
from tests.core.test_jobs import start_jobs
from tests.operations.conftest import URL

pytestmark = pytest.mark.usefixtures("cast")
LOOKERS = 4


@pytest.fixture
def look_at_once(settings):
    """Several looks at the same moment, each with connections of its own, as processes have."""
    engines = [make_engine(settings.database_url) for _ in range(LOOKERS)]

    def act():
        start, done = threading.Barrier(LOOKERS), []

        def one(engine):
            start.wait(10)
            done.append(look(make_sessions(engine, strict=True), url=URL))

        threads = [threading.Thread(target=one, args=(engine,)) for engine in engines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return done

    yield act
    for engine in engines:
        engine.dispose()


@pytest.fixture
def rows(sessions):
    def read():
        with sessions() as session:
            return list(session.scalars(select(Alert)))

    return read


def test_many_who_look_at_once_open_and_end_it_once(wire, look_at_once, rows, told):
    for number in range(1, 4):
        wire.report(None, health={"link": "diverged"})
        assert sum(look_at_once()) == 1
        wire.report(None, health={"link": "following"})
        assert sum(look_at_once()) == 1

        assert len(rows()) == number
        assert len(told()) == 2 * number


@pytest.mark.long
@pytest.mark.processes
def test_two_processes_at_once_tell_it_once(wire, settings, rows, told):
    wire.report(None, health={"link": "diverged", "log": "log_forked"})

    workers = [start_jobs("run", settings) for _ in range(2)]

    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert sorted(told()) == ["Gateway diverged: gw-eu-1", "Log forked: gw-eu-1"]
    assert len(rows()) == 2
