"""The portal's side of a run: SQLite in one process, or PostgreSQL with processes of its own for `/sync/`."""

import contextlib
import sqlite3
import subprocess
from pathlib import Path
from typing import Protocol

from sqlalchemy import make_url

from tests.support.databases import Database, programs
from tests.support.product import Product, Started
from tests.support.sync_process import SyncProcess
from tests.support.worlds import make_settings


class Side(Protocol):
    """Where the portal's data lies and who serves it; started again, all is as it was."""

    database: Database
    data: Path
    page_port: int
    sync_port: int

    def start(self) -> None: ...

    def kill(self) -> None:
        """Kill -9 of every process at once."""

    def stop(self) -> None:
        """As an operator does."""

    def back_up(self, target: Path) -> None:
        """Write a backup of the running portal's database to a file."""

    def restore(self, backup: Path) -> None:
        """Put it in the database's place, with no process of the portal running."""

    def close(self) -> None: ...


def copy_database(source: Path, target: Path) -> None:
    """A backup, as SQLite makes one of a database that is in use."""
    with (
        contextlib.closing(sqlite3.connect(source)) as read,
        contextlib.closing(sqlite3.connect(target)) as write,
    ):
        read.backup(write)


class OneProcess:
    """`python app.py portal` on SQLite."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "portal"
        self.data.mkdir(parents=True)
        self.database = Database("sqlite", f"sqlite:///{self.data / 'portal.db'}")
        self._product = Product(self.data)
        self.page_port = self.sync_port = self._product.port
        self._running: Started | None = None

    def start(self) -> None:
        self._running = self._product.launch("portal")

    def kill(self) -> None:
        assert self._running
        self._running.kill()

    def stop(self) -> None:
        assert self._running
        self._running.press_ctrl_c()

    def back_up(self, target: Path) -> None:
        copy_database(self.data / "portal.db", target)

    def restore(self, backup: Path) -> None:
        copy_database(backup, self.data / "portal.db")

    def close(self) -> None:
        self._product.close()


class SplitProcesses:
    """Pages on PostgreSQL, and two gevent processes for `/sync/` beside them."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.data = folder / "portal"
        self.data.mkdir(parents=True, exist_ok=True)
        self.database = database
        self._pages = _OnPostgres(self.data, database.url)
        self.page_port = self._pages.port
        settings = make_settings(database, self.data, url=self._pages.url)
        self._sync = SyncProcess(settings, folder)
        self.sync_port = self._sync.port
        self._running: Started | None = None

    def start(self) -> None:
        if self._running is None:
            self._running = self._pages.launch("portal")
        self._sync.launch(workers=2)

    def kill(self) -> None:
        """The sync processes first: what people do until then has been done."""
        assert self._running
        self._sync.kill()
        self._running.kill()
        self._running = None

    def stop(self) -> None:
        """Only the sync processes, as for an upgrade of theirs: people act on."""
        self._sync.terminate()
        self._sync.wait()

    def back_up(self, target: Path) -> None:
        self._run("pg_dump", "--format=custom", f"--file={target}")

    def restore(self, backup: Path) -> None:
        # In one transaction: whoever looks meanwhile sees one database or the other.
        self._run("pg_restore", "--clean", "--if-exists", "--single-transaction", str(backup))

    def _run(self, name: str, *arguments: str) -> None:
        place = make_url(self.database.url).set(drivername="postgresql").render_as_string()
        subprocess.run([programs() / name, f"--dbname={place}", *arguments], check=True)

    def close(self) -> None:
        self._sync.kill()
        self._pages.close()


class _OnPostgres(Product):
    def __init__(self, data: Path, url: str) -> None:
        super().__init__(data)
        self._database_url = url

    @property
    def environment(self) -> dict[str, str]:
        more = {"PORTAL_DATABASE_URL": self._database_url, "PORTAL_SECRET_KEY": "for tests"}
        return super().environment | more
