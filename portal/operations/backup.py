"""A backup of a running portal, and its way back.

First the secrets, then the database: so the database is never older than the copy of the log in
`secrets/log.state`, and a restored backup signs on without more ado. What was signed after the backup is
in the newest `log.state` alone, which is why `restore` takes one.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, inspect, make_url

import plimsoll
from portal.config import Settings, secrets_folder
from portal.core import clock
from portal.core.db import make_engine
from portal.operations.errors import BackupFailed, NotEmpty
from portal.transparency import statefile
from portal.web.filters import iso

NOTE = "backup.json"
SECRETS = "secrets"
DATABASES = {"sqlite": "portal.db", "postgresql": "portal.dump"}
# Made by every process that starts: alone in the folder, it says that nothing is there yet.
ALWAYS_THERE = {"session.key", "log.lock"}
PROGRAM_SECONDS = 6 * 3600


def make(settings: Settings, folder: Path) -> None:
    """Write secrets and database into `folder`, which nobody else can read. Raises NotEmpty, BackupFailed."""
    if folder.exists() and any(folder.iterdir()):
        raise NotEmpty(f"{folder} is not empty. A backup goes into a folder of its own.")
    for each in (folder, folder / SECRETS):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        each.chmod(0o700)
    # Not while the signer replaces the copy of the log; it waits for a moment.
    with statefile.locked(settings.data):
        for path in _secrets(secrets_folder(settings.data)):
            _copy(path, folder / SECRETS / path.name)
    url = make_url(settings.database_url)
    _dump(url, folder / DATABASES[url.get_backend_name()])
    # Last, so that a folder without it is known for half a backup.
    note = {
        "made_at": iso(clock.now()),
        "database": url.get_backend_name(),
        "version": plimsoll.__version__,
    }
    _write(folder / NOTE, json.dumps(note).encode())


def restore(settings: Settings, folder: Path, *, log_state: Path | None = None) -> list[str]:
    """Bring a backup back to an empty database; returns the secrets that were there and stay as they are.

    `log_state`: the newest copy of secrets/log.state, where there is one newer than the backup's.
    Raises NotEmpty, BackupFailed.
    """
    kind = read_note(folder)["database"]
    url = make_url(settings.database_url)
    if url.get_backend_name() != kind:
        raise BackupFailed(f"This is a backup of {kind}; the database here is another kind.")
    if _has_tables(settings.database_url):
        raise NotEmpty("The database is not empty. Restore into one that is.")
    kept = _restore_secrets(folder / SECRETS, secrets_folder(settings.data))
    if log_state is not None:
        _copy(log_state, secrets_folder(settings.data) / statefile.NAME)
        kept = [name for name in kept if name != statefile.NAME]
    _load(url, folder / DATABASES[kind])
    return kept


def read_note(folder: Path) -> dict[str, str]:
    """What a backup says of itself. Raises BackupFailed."""
    try:
        note: dict[str, str] = json.loads((folder / NOTE).read_bytes())
    except (OSError, ValueError) as error:
        raise BackupFailed(f"{folder} holds no whole backup: {NOTE} cannot be read.") from error
    return note


def _secrets(folder: Path) -> list[Path]:
    # Drafts of the signer are of no use, and neither is its lock.
    names = (path for path in folder.iterdir() if path.is_file())
    return [path for path in names if path.suffix not in {".new", ".lock"}]


def _restore_secrets(source: Path, target: Path) -> list[str]:
    """What is there stays: a key that was not lost is not replaced by an older one."""
    is_fresh = {path.name for path in target.iterdir()} <= ALWAYS_THERE
    kept = []
    for path in _secrets(source):
        to = target / path.name
        if not to.exists() or is_fresh:
            _copy(path, to)
        elif to.read_bytes() != path.read_bytes():
            kept.append(path.name)
    return kept


def _copy(source: Path, target: Path) -> None:
    try:
        _write(target, source.read_bytes())
    except OSError as error:
        raise BackupFailed(f"{source.name} cannot be copied: {error.strerror}.") from error


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _dump(url: URL, target: Path) -> None:
    target.touch(mode=0o600)
    if url.get_backend_name() == "sqlite":
        _copy_sqlite(Path(url.database or ""), target)
        return
    _run_program("pg_dump", url, "--format=custom", f"--file={target}")


def _load(url: URL, source: Path) -> None:
    if url.get_backend_name() == "sqlite":
        target = Path(url.database or "")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A file of no tables may be there, with a journal of its own.
        for suffix in ("", "-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(source, target)
        return
    options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    _run_program("pg_restore", url, *options, str(source))


def _copy_sqlite(source: Path, target: Path) -> None:
    """One read transaction over all pages: writers go on meanwhile, and none of what they write is in it."""
    if not source.exists():
        raise BackupFailed("There is no database yet.")
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as write:
        read.backup(write)
        # A copy that is read, and not followed by a journal of its own.
        write.execute("PRAGMA journal_mode=DELETE")


def _run_program(name: str, url: URL, *arguments: str) -> None:
    program = shutil.which(name)
    if program is None:
        raise BackupFailed(f"{name} is not on PATH. Install the client programs of PostgreSQL.")
    place = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    # Not among the arguments, which everyone on the machine can read.
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    done = subprocess.run(
        [program, f"--dbname={place}", *arguments],
        env={**os.environ, **password},
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_SECONDS,
    )
    if done.returncode:
        raise BackupFailed(f"{name}: {done.stderr.strip()}")


def _has_tables(url: str) -> bool:
    path = make_url(url).database
    if url.startswith("sqlite") and not Path(path or "").exists():
        return False
    engine = make_engine(url)
    try:
        return bool(inspect(engine).get_table_names())
    finally:
        engine.dispose()
