"""`/sync/` in processes of its own: gunicorn with gevent on PostgreSQL, started as an operator starts it."""

import json
import subprocess
from collections.abc import Callable, Iterator

import httpx2
import pytest

from portal.config import BadSettings
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.factory import create_sync_app
from portal.orgs.models import Org
from portal.sync.commands import remove_gateway
from tests.support.factories import make_key
from tests.support.sync_process import COMMAND, SyncProcess, environment
from tests.support.watchers import Watchers, report, stream
from tests.support.wire import Copy, enrol
from tests.support.worlds import TOP

WATCHERS = 300
TRIES = 5

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def served(settings, tmp_path) -> Iterator[SyncProcess]:
    process = SyncProcess(settings, tmp_path)
    process.launch()
    yield process
    process.kill()


@pytest.fixture
def watch(served, sessions, cast) -> Iterator[Callable[..., Watchers]]:
    """Open so many streams; they have heard where the state stands when this returns."""
    opened = []
    token = enrol(sessions)

    def watch(count: int = 1) -> Watchers:
        watchers = Watchers(served.port, stream(token), count=count)
        opened.append(watchers)
        watchers.wait_for(lambda watcher: watcher.heard["commit"] > 1)
        return watchers

    yield watch
    for watchers in opened:
        watchers.__exit__()


def issue(sessions, cast) -> None:
    with sessions() as session, transaction(session):
        make_key(session, org=session.get_one(Org, cast.acme.id), actor=cast.ada.actor)


@on_sqlite
def test_sqlite_is_refused_with_the_reason(settings):
    with pytest.raises(BadSettings, match="need PostgreSQL: set PORTAL_DATABASE_URL"):
        create_sync_app(settings)


@on_sqlite
@pytest.mark.parametrize("target", ["app:sync", "app:app"])
@pytest.mark.processes
@pytest.mark.long
def test_gunicorn_with_gevent_does_not_start_on_sqlite(settings, target):
    tried = subprocess.run(
        [*COMMAND[:-1], target, "--bind", "127.0.0.1:0"],
        cwd=TOP,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert tried.returncode != 0
    assert "every wait for its lock would stall every stream" in tried.stderr
    assert "Traceback" not in tried.stderr


@on_postgresql
def test_pages_are_not_served_there(settings, sessions, catalog):
    client = create_sync_app(settings, sessions=sessions).test_client()

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/sync/v1/state").status_code == 426
    assert client.get("/limits").status_code == 404
    assert client.get("/limits").content_type == "application/problem+json"


@on_postgresql
@pytest.mark.processes
@pytest.mark.long
def test_a_change_committed_elsewhere_reaches_hundreds_within_a_second(watch, sessions, cast):
    watchers = watch(WATCHERS)
    took = []

    for _ in range(TRIES):  # whatever else the machine has to do, it is not always busy
        before = {watcher: watcher.heard["commit"] for watcher in watchers.all}
        issue(sessions, cast)
        took.append(watchers.wait_for(lambda watcher: watcher.heard["commit"] > before[watcher]))  # noqa: B023 -- asked at once

    assert min(took) < 1
    assert all(watcher.heard["put"] for watcher in watchers.all)


@on_postgresql
@pytest.mark.processes
@pytest.mark.long
def test_at_sigterm_hundreds_hear_bye_within_two_seconds(served, watch):
    took, ended = [], []

    for _ in range(TRIES):  # whatever else the machine has to do, it is not always busy
        watchers = watch(WATCHERS)
        served.terminate()
        took.append(watchers.wait_for(lambda watcher: watcher.is_over))
        assert {json.loads(watcher.last)["reason"] for watcher in watchers.all} == {"deploy"}
        ended.append(served.wait())
        if took[-1] < 2 and ended[-1] < 5:
            break
        served.launch()

    assert min(took) < 2
    assert min(ended) < 5


@on_postgresql
@pytest.mark.processes
@pytest.mark.long
def test_a_gateway_whose_token_is_revoked_leaves_at_the_heartbeat(watch, sessions):
    watchers = watch(2)

    with sessions() as session, transaction(session):
        remove_gateway(session, actor=CLI, name="gw-1")
    # It beats every five seconds; without the heartbeat the stream's hour would have to end.
    watchers.wait_for(lambda watcher: watcher.is_over, seconds=60)

    assert all(json.loads(watcher.last)["t"] == "bye" for watcher in watchers.all)


@on_postgresql
@pytest.mark.processes
@pytest.mark.long
def test_reports_of_hundreds_at_once_are_all_taken(served, sessions, cast):
    """More than there are connections to the database: none may wait for another with one in hand."""
    token = enrol(sessions)
    copy = Copy()
    headers = {"Authorization": f"Bearer {token}", "Sync-Version": "1"}
    answer = httpx2.get(f"{served.url}/sync/v1/state", headers=headers)
    for line in answer.content.splitlines(keepends=True):
        copy.take(line)
    body = json.dumps({"cursor": copy.cursor, "nacks": [], "health": {}}).encode()

    with Watchers(served.port, report(token, body), count=WATCHERS) as reports:
        reports.wait_for(lambda watcher: watcher.is_over)

    assert {each.status for each in reports.all} == {200}
