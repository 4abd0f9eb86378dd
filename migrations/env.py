"""How Alembic runs here: on the connection that `portal.core.migrations` hands over."""

import importlib
from pathlib import Path
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import text
from sqlalchemy.engine import Connection

from portal.core.db import Base
from portal.core.types import UtcDateTimeType

TOP = Path(__file__).resolve().parent.parent
# Tables of the platform, which has no `models.py`.
PLATFORM = ("portal.core.seal", "portal.core.outbox", "portal.web.throttle")
LOCK_NUMBER = 20_260_000  # any number of our own: two upgrades at once wait for each other


def import_models() -> None:
    """Fill the metadata: a table counts only once its class is imported."""
    slices = [f"portal.{path.parent.name}.models" for path in TOP.glob("portal/*/models.py")]
    for name in (*PLATFORM, *sorted(slices)):
        importlib.import_module(name)


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:  # noqa: ARG001
    """Write our own column types as what they are in the database: migrations import no models."""
    if kind == "type" and isinstance(item, UtcDateTimeType):
        return "sa.DateTime(timezone=True)"
    return False


def prepare(connection: Connection) -> None:
    """Let a step rebuild tables on SQLite; let none hold up the others for long on PostgreSQL."""
    if connection.dialect.name == "sqlite":
        # Only outside a transaction, so past SQLAlchemy: copying a table would else empty its children.
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101 -- a connection that is open has one
        driver.execute("PRAGMA foreign_keys=OFF")
        connection.execution_options(portal_write=True)
        return
    for statement in (
        "SET lock_timeout = '10s'",
        "SET statement_timeout = '10min'",
        f"SELECT pg_advisory_lock({LOCK_NUMBER})",
    ):
        connection.execute(text(statement))
    connection.commit()


def run(connection: Connection) -> None:
    prepare(connection)
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        transactional_ddl=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


import_models()
run(context.config.attributes["connection"])
