from dataclasses import dataclass

import pytest
from sqlalchemy import func, select, text

from plimsoll.contract import canonical, checkpoint, merkle
from portal.changelog.commands import publish_catalog
from portal.config import Settings
from portal.core.actor import CLI
from portal.core.db import Sessions, transaction
from portal.core.seal import SyncHead
from portal.sync.commands import rebuild, renew_after_recovery
from portal.transparency import keyfile, mending, signer
from portal.transparency.commands import open_log
from portal.transparency.models import LogEntry, LogHead
from tests.support.worlds import SAMPLE


@dataclass
class Log:
    """The log of a test, from where its signer stands."""

    sessions: Sessions
    settings: Settings

    def append(self) -> None:
        """Open the log and publish the sample catalogue, without the step that signs."""
        public_key = checkpoint.public_key_of(keyfile.load_or_make(self.settings.data))
        with self.sessions() as session, transaction(session):
            open_log(session, actor=CLI, origin=self.settings.origin, public_key=public_key)
            publish_catalog(session, actor=CLI, data=SAMPLE.read_bytes())

    def lose_the_last_entry(self) -> None:
        """An older backup of the database is restored: one entry less was in it. The file has it."""
        kept = [leaf.encode() for leaf in self.leaves()[:-1]]
        size, root = len(kept), merkle.root(kept)
        text = checkpoint.sign(
            origin=self.settings.origin,
            size=size,
            root=root,
            private_key=keyfile.load(self.settings.data),
        )
        self.by_sql(
            "UPDATE log_checkpoint SET size = :size, text = :text, root = :root",
            size=size,
            text=text,
            root=root.hex(),
        )
        self.by_sql("DELETE FROM log_entries WHERE seq = :seq", seq=size)

    def recover(self) -> mending.Mended:
        return mending.recover(
            self.sessions,
            self.settings,
            actor=CLI,
            renew=lambda session: renew_after_recovery(session, actor=CLI),
        )

    def discard(self) -> mending.Mended:
        return mending.discard(
            self.sessions,
            self.settings,
            actor=CLI,
            renew=lambda session: rebuild(session, actor=CLI),
        )

    def epoch(self) -> str:
        with self.sessions() as session:
            return session.scalar(select(SyncHead.epoch))

    def sign(self, **how) -> signer.SignOutcome:
        return signer.sign_new(self.sessions, self.settings, **how)

    def head(self) -> LogHead:
        with self.sessions() as session:
            return session.scalars(select(LogHead)).one()

    def leaves(self) -> list[str]:
        with self.sessions() as session:
            return list(session.scalars(select(LogEntry.text).order_by(LogEntry.seq)))

    def count(self, model) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(model))

    def by_sql(self, statement: str, **values) -> None:
        """What somebody with the database's password can do."""
        with self.sessions.kw["bind"].connect().execution_options(portal_write=True) as link:
            link.execute(text(statement), values)
            link.commit()

    def slip_in_a_change(self) -> None:
        """Change 1 once more, as change 2, that no command published."""
        entry = canonical.decode(self.leaves()[1])
        entry["seq"], entry["body"]["change"] = 2, 2
        self.by_sql(
            "INSERT INTO log_entries (seq, at, kind, text) VALUES (2, :at, :kind, :text)",
            at=entry["at"],
            kind=entry["kind"],
            text=canonical.encode(entry).decode(),
        )

    def without_triggers(self) -> None:
        names = ("log_entries_never_change", "log_entries_keep_signed", "log_entries_in_order")
        if self.sessions.kw["bind"].dialect.name == "postgresql":
            self.by_sql("ALTER TABLE log_entries DISABLE TRIGGER ALL")
            return
        for name in names:
            self.by_sql(f"DROP TRIGGER {name}")


@pytest.fixture
def log(sessions, settings) -> Log:
    return Log(sessions, settings)
