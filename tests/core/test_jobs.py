import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.core import outbox
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.jobs import REST_SECONDS, Job, Worker, paced, run_all
from portal.core.outbox import Mail, Message
from portal.housekeeping import all_jobs
from portal.journal.commands import record
from tests.support.product import eventually
from tests.support.worlds import TOP


@pytest.fixture
def working(sessions):
    """Start a worker for some jobs; it is closed after the test."""
    workers = []

    def start(*jobs: Job) -> Worker:
        worker = Worker(jobs, sessions)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.close()


def counted() -> tuple[list[float], Job]:
    """A job, and the instants at which it ran."""
    passes: list[float] = []

    def run() -> int:
        passes.append(time.monotonic())
        return 0

    return passes, Job("count", run)


def commit_something(sessions) -> None:
    with sessions() as session, transaction(session):
        record(session, CLI, "test:happened")


def test_a_job_that_fails_does_not_keep_the_others_from_running(caplog):
    def fail() -> int:
        raise RuntimeError

    done = run_all([Job("broken", fail), Job("sound", lambda: 3)])

    assert done == {"broken": -1, "sound": 3}
    assert "broken" in caplog.text


def test_a_paced_look_is_taken_at_start_and_then_only_so_often(clock):
    looks = []
    look = paced(lambda: looks.append(clock.at) or 2, every=timedelta(seconds=60))

    done = [look(), look()]
    for seconds in (59, 1, 59):
        clock.advance(seconds=seconds)
        done.append(look())

    assert done == [2, 0, 0, 2, 0]
    assert len(looks) == 2


def test_a_paced_look_that_raises_counts_as_none(clock):
    outcomes = iter([RuntimeError, None])

    def fail_once() -> int:
        if error := next(outcomes):
            raise error
        return 1

    look = paced(fail_once, every=timedelta(seconds=60))
    with pytest.raises(RuntimeError):
        look()

    assert [look(), look()] == [1, 0]


def test_a_clock_that_was_set_back_holds_up_no_paced_look(clock):
    look = paced(lambda: 1, every=timedelta(seconds=60))
    look()

    clock.advance(days=-1)

    assert [look(), look()] == [1, 0]


def test_the_worker_runs_at_its_start_and_after_each_commit(sessions, working):
    passes, job = counted()

    working(job)
    eventually(lambda: passes)
    committed_at = time.monotonic()
    commit_something(sessions)

    eventually(lambda: len(passes) == 2)
    assert passes[1] - committed_at < 1


def test_a_job_that_waits_for_somebody_else_keeps_none_of_the_others_waiting(sessions, working):
    passes, job = counted()
    served = threading.Event()

    def wait() -> int:
        served.wait(10)
        return 0

    working(Job("slow", wait, is_slow=True), job)
    eventually(lambda: passes)
    commit_something(sessions)

    eventually(lambda: len(passes) == 2)
    served.set()


def test_many_commits_in_a_row_wake_the_jobs_only_so_often(sessions, working):
    passes, job = counted()
    working(job)
    eventually(lambda: passes)
    started_at = time.monotonic()

    for _ in range(50):
        commit_something(sessions)

    assert len(passes) <= 2 + (time.monotonic() - started_at) / REST_SECONDS


def test_a_closed_worker_runs_no_more(sessions, working):
    passes, job = counted()
    worker = working(job)
    eventually(lambda: passes)

    worker.close()
    commit_something(sessions)

    assert not any(thread.name == "jobs" for thread in threading.enumerate())
    assert len(passes) == 1


def test_the_products_jobs_rest_when_there_is_nothing_to_do(
    sessions, settings, catalog, working, count_queries
):
    """A job that wrote in each pass would wake the next pass, for ever."""
    working(*all_jobs(sessions, settings))

    def nothing_is_asked() -> bool:
        with count_queries() as queries:
            time.sleep(10 * REST_SECONDS)
        return not queries.statements

    # The first passes may write. Where none ended the row, the next would always be under way.
    assert eventually(nothing_is_asked)


@pytest.mark.processes
def test_two_processes_at_once_send_each_mail_once(sessions, settings):
    with sessions() as session, transaction(session):
        for number in range(60):
            message = Message(to="eve@example.com", subject=f"No. {number}", text="Hello\n")
            outbox.queue_mail(session, message, event=f"event-{number}", person="usr_1")

    workers = [start_jobs("run", settings) for _ in range(2)]

    assert [worker.wait(60) for worker in workers] == [0, 0]
    with sessions() as session:
        mails = session.scalars(select(Mail)).all()
        assert all(mail.sent_at for mail in mails)
        assert {mail.attempts for mail in mails} == {1}
    assert len(list((settings.data / "mail").iterdir())) == 60


@pytest.mark.processes
def test_work_goes_on_until_it_is_told_to_stop(sessions, settings):
    worker = start_jobs("work", settings)
    with sessions() as session, transaction(session):
        message = Message(to="eve@example.com", subject="Hello", text="Hello\n")
        outbox.queue_mail(session, message, event="event", person="usr_1")

    # Another process's commit is noticed by looking, every few seconds.
    eventually((settings.data / "mail").exists, seconds=30)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(5) == 0


def start_jobs(command: str, settings) -> subprocess.Popen[bytes]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PORTAL_")}
    values = {"PORTAL_DATA": str(settings.data), "PORTAL_DATABASE_URL": settings.database_url}
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "jobs", command],
        cwd=TOP,
        env={**kept, **values},
        stdout=subprocess.DEVNULL,
    )
