"""Templates that a test's database and data folder are copied from, made once per run and server.

Three of them, each on top of the one before: `empty` is migrated and nothing else, in `published`
the sample catalogue is change 1 and signed, in `peopled` there is the cast.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from portal.changelog.commands import publish_catalog
from portal.config import Settings
from portal.core import clock, migrations
from portal.core.actor import CLI
from portal.core.db import Sessions, make_engine, make_sessions
from portal.core.seal import register_builder
from portal.keys.queries import build_key_records
from portal.tiers.queries import build_org_records
from portal.transparency.records import build_checkpoint_records, build_entry_records
from portal.transparency.signer import log_transaction
from tests.support import cast, databases
from tests.support.clocks import BUILT_AT, ManualClock
from tests.support.databases import Database, Server

TOP = Path(__file__).resolve().parents[2]
SAMPLE = TOP / "examples/catalog/sample-2026.json"


def make_settings(database: Database, data: Path, **values: Any) -> Settings:
    """Settings for a test; `values` override them."""
    data.mkdir(parents=True, exist_ok=True)
    return Settings(
        **{"data": data, "database_url": database.url, "secret_key": "for tests", **values}
    )


@contextmanager
def opened(settings: Settings) -> Iterator[Sessions]:
    """Sessions on the database of `settings`, closed afterwards."""
    engine = make_engine(settings.database_url)
    try:
        yield make_sessions(engine, strict=True)
    finally:
        engine.dispose()


def publish(sessions: Sessions, settings: Settings, catalog: dict[str, Any] | None = None) -> None:
    """Publish a catalogue, the sample one unless told, as change 1, and sign it."""
    data = SAMPLE.read_bytes() if catalog is None else json.dumps(catalog)
    with sessions() as session, log_transaction(session, sessions, settings=settings, actor=CLI):
        publish_catalog(session, actor=CLI, data=data)


def migrate(settings: Settings) -> None:
    migrations.upgrade(settings.database_url)


def register_records() -> None:
    register_builder("org", build_org_records)
    register_builder("key", build_key_records)
    register_builder("entry", build_entry_records)
    register_builder("checkpoint", build_checkpoint_records)


class Worlds:
    """Servers and templates of one run; whatever is asked for is made at first use."""

    def __init__(self, folder: Path) -> None:
        register_records()
        self._folder = folder
        self._stack = ExitStack()
        self._servers: dict[str, Server] = {}
        self._templates: dict[tuple[str, str], tuple[Database, Path]] = {}

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def copy(self, kind: str, name: str, data: Path) -> Iterator[Database]:
        """A database of its own for one test, with the template's data folder copied to `data`."""
        template, files = self._template(kind, name)
        server = self._server(kind)
        database = server.create(template)
        shutil.copytree(files, data, dirs_exist_ok=True)
        try:
            yield database
        finally:
            server.drop(database)

    def _server(self, kind: str) -> Server:
        if kind not in self._servers:
            self._servers[kind] = self._stack.enter_context(databases.server(kind, self._folder))
        return self._servers[kind]

    def _template(self, kind: str, name: str) -> tuple[Database, Path]:
        if (kind, name) not in self._templates:
            self._templates[kind, name] = self._make(kind, name)
        return self._templates[kind, name]

    def _make(self, kind: str, name: str) -> tuple[Database, Path]:
        below, step = STEPS[name]
        base, files = self._template(kind, below) if below else (None, None)
        database, data = self._server(kind).create(base), self._folder / f"{kind}-{name}"
        if files is not None:
            shutil.copytree(files, data)
        settings = make_settings(database, data)
        with clock.running(ManualClock(BUILT_AT)):
            step(settings)
        return database, data


def _publish_sample(settings: Settings) -> None:
    with opened(settings) as sessions:
        publish(sessions, settings)


def _bring_cast(settings: Settings) -> None:
    with opened(settings) as sessions:
        cast.bring(sessions)


STEPS: dict[str, tuple[str | None, Callable[[Settings], None]]] = {
    "empty": (None, migrate),
    "published": ("empty", _publish_sample),
    "peopled": ("published", _bring_cast),
}
