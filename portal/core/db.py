"""The database: engine, sessions, and the one way to write, `transaction()`."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Engine, MetaData, create_engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import (
    DeclarativeBase,
    ORMExecuteState,
    Session,
    UOWTransaction,
    sessionmaker,
)

from portal.core.errors import Unavailable
from portal.core.wakeup import Wakeup

log = logging.getLogger(__name__)

Touched = tuple[str, str]

BUSY_SECONDS = 10
# A database behind a broken network is given up: the system's own bounds are hours, and a sync
# process would send no heartbeat for as long (libpq, 34.1.2).
SILENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Touching:
    """Mixin of rows that gateways must hear of: the seal rebuilds the records that they are part of."""

    def touches(self) -> list[Touched]:
        """The (kind, id) of each sync record that this row is part of (SYNC 1)."""
        raise NotImplementedError


class LastStep(Protocol):
    """What runs at the end of a transaction, made at first use in it."""

    def __init__(self) -> None: ...

    def __call__(self, session: Session) -> None: ...


Step = TypeVar("Step", bound=LastStep)


class UncommittedChanges(RuntimeError):
    """A session was closed, or committed by hand, with changes that no `transaction()` sealed."""


class BulkWrite(RuntimeError):
    """A bulk write on a class that gateways must hear of: the seal would not see it."""


class Busy(Unavailable):
    code = "busy"
    public = "Too much is being written at the moment. Nothing was changed; try again in a while."


class PortalSession(Session):
    """A session that notices changes nobody committed."""

    def rollback(self) -> None:
        """Roll back, and forget what waited for the transaction's end."""
        super().rollback()
        _forget(self)

    def close(self) -> None:
        """Close; raise UncommittedChanges where the session is strict, log where it is not."""
        left = _is_changed(self)
        super().close()
        _forget(self)
        if left and self.info.get("strict", True):
            raise UncommittedChanges(
                "changed, but never committed: is a `with transaction(…)` missing?"
            )
        if left:
            log.error("a session was closed with uncommitted changes")


Sessions = sessionmaker[PortalSession]


def make_engine(url: str, *, connections: int = 20, more: int = 40) -> Engine:
    """An engine for SQLite or PostgreSQL with the settings of EXACT 39.

    To PostgreSQL it keeps so many `connections`, and opens some `more` for a moment.
    """
    parsed = make_url(url)
    # An error's text reaches the log, and among parameters are mailed links and password hashes.
    engine = create_engine(parsed, hide_parameters=True, **_pool(parsed, connections, more))
    if parsed.get_backend_name() != "sqlite":
        return engine
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _pool(url: URL, connections: int, more: int) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"pool_size": 20, "max_overflow": -1}
    silence = {name: value for name, value in SILENCE.items() if name not in url.query}
    return {
        "pool_pre_ping": True,
        "pool_size": connections,
        "max_overflow": more,
        "connect_args": silence,
    }


def _prepare_sqlite(connection: Any, record: object) -> None:  # noqa: ARG001
    # The driver's own transaction handling begins late and breaks savepoints; BEGIN is sent by hand.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    mode = "IMMEDIATE" if connection.get_execution_options().get("portal_write") else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {mode}")


def make_sessions(engine: Engine, *, strict: bool) -> Sessions:
    """The factory of sessions; all of them share one wake-up."""
    factory = sessionmaker(
        engine,
        class_=PortalSession,
        expire_on_commit=False,
        info={"strict": strict, "wakeup": Wakeup(), "turn": threading.Lock()},
    )
    event.listen(factory, "after_flush", _note_flush)
    event.listen(factory, "before_commit", _refuse_bare_commit)
    event.listen(factory, "after_rollback", _forget)
    event.listen(factory, "do_orm_execute", _refuse_bulk_write)
    return factory


def wakeup_of(sessions: Sessions) -> Wakeup:
    """The wake-up that each commit of `sessions` notifies."""
    found: Wakeup = sessions.kw["info"]["wakeup"]
    return found


def _note_flush(session: Session, context: UOWTransaction) -> None:  # noqa: ARG001
    # A flush empties session.new and session.dirty, so that only this listener sees everything.
    session.info["flushed"] = True
    touched: set[Touched] = session.info.setdefault("touched", set())
    for row in (*session.new, *session.dirty, *session.deleted):
        if isinstance(row, Touching):
            touched.update(row.touches())


def _refuse_bare_commit(session: Session) -> None:
    if not session.info.get("sealed"):
        raise UncommittedChanges("commit is `transaction()`'s: it seals first")


def _forget(session: Session) -> None:
    for name in ("flushed", "touched", "last_steps"):
        session.info.pop(name, None)


def _is_changed(session: Session) -> bool:
    waiting = session.info.get("flushed") or session.info.get("last_steps")
    return bool(session.new or session.dirty or session.deleted or waiting)


def last_step(session: Session, kind: type[Step]) -> Step:
    """The transaction's one step of this kind, which runs after the seal, right before the commit.

    For locks that everyone asks for: so they are held for no longer than the commit takes.
    """
    steps: dict[type[LastStep], Any] = session.info.setdefault("last_steps", {})
    if kind not in steps:
        steps[kind] = kind()
    found: Step = steps[kind]
    return found


def _take_last_steps(session: Session) -> None:
    for step in session.info.pop("last_steps", {}).values():
        step(session)


def _refuse_bulk_write(state: ORMExecuteState) -> None:
    if not (state.is_insert or state.is_update or state.is_delete):
        return
    mapper = state.bind_mapper
    if mapper is not None and issubclass(mapper.class_, Touching):
        raise BulkWrite(
            f"{mapper.class_.__name__} touches sync records: change its rows one by one"
        )


@contextmanager
def transaction(session: Session, *, wakes: bool = True) -> Iterator[None]:
    """One act: begin, do what stands inside, seal, commit, wake whoever waits; on any error roll back.

    `wakes` False: for what nobody waits for, such as counts of tries.

    What the session read before is let go, since a read snapshot that is upgraded to a write fails at
    once on SQLite (EXACT 39): load what you change inside.
    """
    from portal.core.seal import seal  # the seal's tables stand on Base

    if _is_changed(session):
        raise UncommittedChanges("something was changed before the transaction began")
    session.rollback()
    with _turn(session):
        _begin(session)
        try:
            yield
            seal(session)
            _take_last_steps(session)
            session.info["sealed"] = True
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info.pop("sealed", None)
    session.info.pop("flushed", None)
    if wakes:
        session.info["wakeup"].notify()


def _begin(session: Session) -> None:
    try:
        session.connection(execution_options={"portal_write": True})
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise Busy from error
        raise


@contextmanager
def _turn(session: Session) -> Iterator[None]:
    """On SQLite, where one writes at a time, threads of a process hand the turn on to each other.

    Left to SQLite they would sleep and try again, the longer the more of them wait.
    """
    if session.get_bind().dialect.name != "sqlite":
        yield
        return
    turn: threading.Lock = session.info["turn"]
    if not turn.acquire(timeout=BUSY_SECONDS):
        raise Busy
    try:
        yield
    finally:
        turn.release()


@contextmanager
def snapshot(session: Session) -> Iterator[None]:
    """Reads that all see one state: REPEATABLE READ on PostgreSQL, what every read is on SQLite."""
    session.rollback()
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    try:
        yield
    finally:
        session.rollback()


@contextmanager
def reading(sessions: Sessions) -> Iterator[PortalSession]:
    """A session for a short look whose statements may each see another state.

    On PostgreSQL they do without BEGIN and ROLLBACK, each a journey as long as the question's.
    """
    with sessions() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session


def violates(error: IntegrityError, name: str) -> bool:
    """Whether `error` comes from the constraint or index `name`.

    PostgreSQL names it. SQLite names expression indexes and check constraints, but for a plain unique
    constraint it lists the columns: those are compared with what the name says by our convention.
    """
    diagnostics = getattr(error.orig, "diag", None)
    if diagnostics is not None:
        return bool(diagnostics.constraint_name == name)
    text = str(error.orig)
    if name in text:
        return True
    _, _, columns = text.partition("UNIQUE constraint failed: ")
    return "." in columns and name == _unique_name(columns)


def _unique_name(columns: str) -> str:
    pairs = [column.strip().split(".") for column in columns.split(",")]
    return "_".join(["uq", pairs[0][0], *(column for _, column in pairs)])
