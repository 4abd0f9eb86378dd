"""What SQL itself can keep of the log: no entry is changed, no signed one deleted, none left out.

The rule proper is checked by the signer. These triggers make an accident loud; somebody with the
right to drop them still cannot get anything signed.
"""

from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.engine import Connection

_SQLITE = (
    """
    CREATE TRIGGER log_entries_never_change BEFORE UPDATE ON log_entries
    BEGIN SELECT RAISE(ABORT, 'a log entry never changes'); END
    """,
    """
    CREATE TRIGGER log_entries_keep_signed BEFORE DELETE ON log_entries
    WHEN OLD.seq < (SELECT COALESCE(MAX(size), 0) FROM log_checkpoint)
    BEGIN SELECT RAISE(ABORT, 'a signed log entry is never deleted'); END
    """,
    """
    CREATE TRIGGER log_entries_in_order BEFORE INSERT ON log_entries
    WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), -1) + 1 FROM log_entries)
      OR NEW.at < (SELECT COALESCE(MAX(at), 0) FROM log_entries)
    BEGIN SELECT RAISE(ABORT, 'a log entry follows the last one'); END
    """,
)
_POSTGRESQL = (
    """
    CREATE FUNCTION log_entries_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'a log entry never changes';
      ELSIF TG_OP = 'DELETE' THEN
        IF OLD.seq < (SELECT COALESCE(MAX(size), 0) FROM log_checkpoint) THEN
          RAISE EXCEPTION 'a signed log entry is never deleted';
        END IF;
        RETURN OLD;
      ELSIF NEW.seq <> (SELECT COALESCE(MAX(seq), -1) + 1 FROM log_entries)
         OR NEW.at < (SELECT COALESCE(MAX(at), 0) FROM log_entries) THEN
        RAISE EXCEPTION 'a log entry follows the last one';
      END IF;
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER log_entries_guarded BEFORE INSERT OR UPDATE OR DELETE ON log_entries
    FOR EACH ROW EXECUTE FUNCTION log_entries_guard()
    """,
)


def statements(dialect: str) -> tuple[str, ...]:
    """The statements that create the triggers, for `sqlite` or `postgresql`."""
    return _POSTGRESQL if dialect == "postgresql" else _SQLITE


def create(table: Table, connection: Connection, **others: Any) -> None:  # noqa: ARG001
    """Create the triggers right after their table."""
    for statement in statements(connection.dialect.name):
        connection.execute(text(statement))
