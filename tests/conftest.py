"""Fixtures that every test may ask for.

Ask for `cast` and the database holds the published catalogue and the people; for `catalog` and it
holds the catalogue; for neither and it is migrated and empty.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_socket
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Engine, QueuePool, event, select

from portal.accounts import passwords
from portal.config import Settings
from portal.core import clock as core_clock
from portal.core.db import PortalSession, Sessions, make_engine, make_sessions
from portal.core.outbox import Mail, list_mails
from portal.journal.models import Event
from portal.tiers.queries import current_assignment
from tests.support import cast as casting
from tests.support.cast import Cast
from tests.support.clocks import ManualClock
from tests.support.databases import Database
from tests.support.routing import keep_compiled_builders
from tests.support.worlds import Worlds, make_settings

IDLE_SECONDS = 2.0

pytest_plugins = ["tests.support.chromium", "tests.support.gateways", "tests.support.valkey"]


def pytest_runtest_setup() -> None:
    """No test talks to anything but this machine."""
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pages meet PostgreSQL in the long run, as in CI: what the database decides is proven below them.

    Commands, queries, the seal and races run on both databases each day.
    """
    for item in items:
        spec = getattr(item, "callspec", None)
        is_postgres = spec is not None and spec.params.get("database") == "postgresql"
        if is_postgres and {"visit", "client"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing() -> None:
    """argon2id at its lowest cost, which else takes minutes of a run. `full_hashing` has the real one."""
    passwords._hasher = PasswordHasher.from_parameters(CHEAPEST)


@pytest.fixture
def full_hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passwords cost what they cost in production; hashes made before keep their own cost."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())
    passwords._nobody.cache_clear()
    yield
    passwords._nobody.cache_clear()


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    keep_compiled_builders()
    made = Worlds(tmp_path_factory.mktemp("worlds"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, worlds: Worlds, tmp_path: Path) -> Iterator[Database]:
    """A fresh real database of each kind.

    For one kind: `@pytest.mark.parametrize("database", ["sqlite"], indirect=True)`.
    """
    names = set(request.fixturenames)
    world = "peopled" if "cast" in names else "published" if "catalog" in names else "empty"
    with worlds.copy(request.param, world, tmp_path / "data") as made:
        yield made


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return make_settings(database, tmp_path / "data")


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    """The whole product under a clock that stands still until the test moves it."""
    manual = ManualClock()
    with core_clock.running(manual):
        yield manual


@pytest.fixture(scope="session")
def engines() -> Callable[[str], Engine]:
    """One engine an address for the whole run: databases come again, and statements stay compiled."""
    return functools.cache(make_engine)


@pytest.fixture
def sessions(settings: Settings, engines: Callable[[str], Engine]) -> Iterator[Sessions]:
    engine = engines(settings.database_url)
    yield make_sessions(engine, strict=True)
    _wait_until_idle(engine)
    engine.dispose()


def _wait_until_idle(engine: Engine) -> None:
    """Let threads that are just ending give their connections back: a thrown away one warns."""
    pool = engine.pool
    gives_up_at = time.monotonic() + IDLE_SECONDS
    while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < gives_up_at:
        time.sleep(0.005)


@pytest.fixture
def session(sessions: Sessions) -> Iterator[PortalSession]:
    """One session; write with `transaction(session)`, as everywhere."""
    with sessions() as opened:
        yield opened


@pytest.fixture
def catalog(database: Database) -> None:
    """The sample catalogue is published as change 1."""


@pytest.fixture
def cast(sessions: Sessions) -> Cast:
    """Ada owns Acme, Ben develops there, Cleo only reads, Dan is an outsider, Root is staff."""
    return casting.find(sessions)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates compiled once per run: each test has an application of its own."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(
    settings: Settings, sessions: Sessions, compiled: FileSystemBytecodeCache
) -> Iterator[Flask]:
    from portal.factory import create_app
    from portal.sync.views import hub_of

    made = create_app(settings, sessions=sessions)
    made.testing = True
    made.jinja_env.bytecode_cache = compiled
    yield made
    hub_of(made).stop()
    for thread in threading.enumerate():
        if thread.name == "sync-hub":
            thread.join(IDLE_SECONDS)  # else it reads on, from a database that is gone


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def visit(client: FlaskClient) -> Any:
    """The client that checks every page it fetches."""
    from tests.support.visit import Visit

    return Visit(client)


@dataclass(frozen=True)
class Way:
    """How a form is sent: by the browser itself, or by htmx."""

    name: str
    headers: dict[str, str]

    @property
    def is_htmx(self) -> bool:
        return self.name == "htmx"


@pytest.fixture(params=["plain", "htmx"])
def both_ways(request: pytest.FixtureRequest) -> Way:
    """Run a test twice: without JavaScript, and with htmx."""
    headers = {"HX-Request": "true"} if request.param == "htmx" else {}
    return Way(request.param, headers)


@pytest.fixture
def outbox(sessions: Sessions) -> Callable[[], list[Mail]]:
    """The mails queued so far, newest first."""

    def read() -> list[Mail]:
        with sessions() as session:
            return list_mails(session)

    return read


@pytest.fixture
def journal(sessions: Sessions) -> Callable[[], list[Event]]:
    """The journal so far, oldest first."""

    def read() -> list[Event]:
        with sessions() as session:
            return list(session.scalars(select(Event).order_by(Event.at, Event.id)))

    return read


@dataclass
class Queries:
    """The statements that were sent while counting."""

    statements: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.statements)


@pytest.fixture
def tier(sessions: Sessions, cast: Cast) -> Callable[[], str]:
    """The slug of Acme's tier as it is now."""

    def act() -> str:
        with sessions() as session:
            return current_assignment(session, cast.acme.id).tier

    return act


@pytest.fixture
def count_queries(sessions: Sessions) -> Callable[[], AbstractContextManager[Queries]]:
    """`with count_queries() as queries: …`, then `len(queries)`."""
    engine = sessions.kw["bind"]

    @contextmanager
    def counting() -> Iterator[Queries]:
        queries = Queries()

        def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
            queries.statements.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield queries
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return counting
