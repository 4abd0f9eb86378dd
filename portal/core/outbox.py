"""Mail leaves after the commit, from rows written in the act's own transaction.

At least once: a row is claimed for a time, sent, then marked. Killed in between, it is sent again with the
same Message-ID.
"""

import logging
import re
import smtplib
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from sqlalchemy import (
    Index,
    Insert,
    Integer,
    Select,
    String,
    Text,
    UniqueConstraint,
    delete,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.core import clock
from portal.core.db import Base, Sessions, transaction
from portal.core.errors import NotFound
from portal.core.ids import new_id
from portal.core.types import CreatedAt, PublicId, UtcDateTime

log = logging.getLogger(__name__)

CLAIM = timedelta(seconds=60)
_BLANK = {"to": "", "subject": "", "text": "", "unsubscribe_url": None}
# So few that a slow server does not outlast their claim, or another worker would send them, too.
BATCH = 2
# Two weeks, at an hour between tries: a change that waits for its notices (LIMITS 2) waits for these tries.
ATTEMPTS_MAX = 14 * 24
SMTP_SECONDS = 20
# Without this, Python cuts an address longer than a line, or codes it so that no mail program finds it.
POLICY = default.clone(max_line_length=998)


class Mail(Base):
    """One message to one person about one event."""

    __tablename__ = "mails"
    __table_args__ = (
        UniqueConstraint("event", "person", "channel"),
        Index(
            "ix_mails_due",
            "is_bulk",
            "next_try_at",
            sqlite_where=text("sent_at IS NULL"),
            postgresql_where=text("sent_at IS NULL"),
        ),
        Index("ix_mails_sent_at", "sent_at"),
    )

    id: Mapped[PublicId]
    event: Mapped[str] = mapped_column(String(120))
    person: Mapped[str] = mapped_column(String(320))
    channel: Mapped[str] = mapped_column(String(16), default="mail")
    to: Mapped[str] = mapped_column(String(320))
    subject: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    # Where one click ends such mails (RFC 8058); None where they cannot be switched off.
    unsubscribe_url: Mapped[str | None] = mapped_column(String(500))
    # One of many that nobody sits and waits for: sent after those that somebody does.
    is_bulk: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[CreatedAt]
    next_try_at: Mapped[UtcDateTime]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    sent_at: Mapped[UtcDateTime | None]


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a slice's `mails.py` builds.

    With `unsubscribe_url`, which takes a POST without a sign-in, mail programs show their own button
    (RFC 8058). Without one the text says why such mails cannot be switched off.
    """

    to: str
    subject: str
    text: str
    unsubscribe_url: str | None = None


class Transport(Protocol):
    def send(self, message: EmailMessage) -> None: ...


@dataclass(frozen=True)
class FolderTransport:
    """Writes each message to the data folder; the default, so that nothing must be installed."""

    folder: Path

    def send(self, message: EmailMessage) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = message["Message-ID"].strip("<>").partition("@")[0]
        (self.folder / f"{name}.eml").write_bytes(message.as_bytes())


@dataclass(frozen=True)
class SmtpTransport:
    """Hands messages to the server of `url`: smtp://, or smtps:// for TLS from the first byte."""

    url: str

    def send(self, message: EmailMessage) -> None:
        parts = urlsplit(self.url)
        with self._connected(parts) as server:
            server.ehlo()
            if parts.scheme == "smtp" and (server.has_extn("starttls") or parts.username):
                # With a password there is no way on in clear text: starttls() raises where it is not offered.
                server.starttls(context=ssl.create_default_context())
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            self._hand_over(server, message)

    @staticmethod
    def _hand_over(server: smtplib.SMTP, message: EmailMessage) -> None:
        sender, to = (message[name].addresses[0].addr_spec for name in ("From", "To"))
        if not f"{sender}{to}".isascii():
            server.send_message(message)  # it knows what such addresses ask of a server
            return
        # `send_message` would write ">From" where a line begins with "From".
        server.sendmail(sender, [to], message.as_bytes(policy=POLICY.clone(linesep="\r\n")))

    @staticmethod
    def _connected(parts: SplitResult) -> smtplib.SMTP:
        host, port = parts.hostname or "", parts.port or 0
        if parts.scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port, timeout=SMTP_SECONDS, context=context)
        return smtplib.SMTP(host, port, timeout=SMTP_SECONDS)


def queue_mail(session: Session, message: Message, *, event: str, person: str) -> None:
    """Put a message into the outbox, in the act's transaction; the same event and person only once."""
    if _is_reachable(message):
        session.execute(_insert(session), [_values(message, event=event, person=person)])


def queue_mails(session: Session, messages: Mapping[str, Message], *, event: str) -> None:
    """Put many people's messages about one event into the outbox: person to message, some hundred at a time.

    Whoever has theirs already gets no second one. They are sent after what somebody waits for.
    """
    rows = [
        _values(message, event=event, person=person, is_bulk=True)
        for person, message in messages.items()
        if _is_reachable(message)
    ]
    if rows:
        session.execute(_insert(session), rows)


def _is_reachable(message: Message) -> bool:
    # Whoever deleted their account has words in the place of an address.
    return "@" in message.to


def forget_mails(session: Session, *, person: str, addresses: Collection[str], words: str) -> None:
    """Erase one person's mails, and put words in the place of their addresses in those of others.

    That they were sent stays known, so that no event is told anew.
    """
    lower = [address.lower() for address in addresses]
    theirs = or_(Mail.person == person, func.lower(Mail.to).in_(lower))
    session.execute(delete(Mail).where(theirs, Mail.sent_at.is_(None)))
    session.execute(update(Mail).where(theirs).values(_BLANK | {"person": person}))
    for address in addresses:
        _unname(session, address, words=words)


def _unname(session: Session, address: str, *, words: str) -> None:
    # Not where it is the end or the beginning of another's.
    whole = re.compile(
        rf"(?<![^\s<>()\[\],;:\"“”]){re.escape(address)}(?![\w-]|\.\w)", re.IGNORECASE
    )
    parts = (Mail.subject, Mail.text)
    naming = or_(*(part.icontains(address, autoescape=True) for part in parts))
    for mail in session.scalars(select(Mail).where(naming).with_for_update()):
        mail.subject, mail.text = (whole.sub(words, text) for text in (mail.subject, mail.text))


def forget_sent(session: Session, *, events: Collection[str]) -> int:
    """Erase the mails about some events once they have left, or are tried no more; returns how many."""
    is_over = or_(Mail.sent_at.is_not(None), Mail.attempts >= ATTEMPTS_MAX)
    over = (Mail.event.in_(events), Mail.to != "", is_over)
    if not events or session.scalar(select(Mail.id).where(*over).limit(1)) is None:
        return 0
    with transaction(session):
        done = session.execute(update(Mail).where(*over).values(_BLANK))
    return int(done.rowcount)  # type: ignore[attr-defined]


def _insert(session: Session) -> Insert:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    # On the table, not the class: one statement for all rows, without a round trip for each.
    return insert(Mail.metadata.tables[Mail.__tablename__]).on_conflict_do_nothing(
        index_elements=["event", "person", "channel"]
    )


def _values(message: Message, *, event: str, person: str, is_bulk: bool = False) -> dict[str, Any]:
    now = clock.now()
    return {
        "id": new_id("mail"),
        "event": event,
        "person": person,
        "channel": "mail",
        "to": message.to,
        "subject": message.subject,
        "text": message.text,
        "unsubscribe_url": message.unsubscribe_url,
        "is_bulk": is_bulk,
        "created_at": now,
        "next_try_at": now,
        "attempts": 0,
    }


def send_due(sessions: Sessions, transport: Transport, *, sender: str) -> int:
    """Send what is due; returns how many messages were handed over."""
    sent = 0
    # Looked at without the lock first: a pass that claims nothing must not write, or it would wake the next.
    while _is_due(sessions) and (claimed := _claim(sessions)):
        for mail in claimed:
            sent += _send(sessions, transport, mail=mail, sender=sender)
    return sent


def _due(now: datetime) -> Select[Mail]:
    return select(Mail).where(
        Mail.sent_at.is_(None), Mail.next_try_at <= now, Mail.attempts < ATTEMPTS_MAX
    )


def _is_due(sessions: Sessions) -> bool:
    with sessions() as session:
        return session.scalar(_due(clock.now()).limit(1)) is not None


def _claim(sessions: Sessions) -> list[Mail]:
    with sessions() as session, transaction(session):
        now = clock.now()
        mails = session.scalars(
            _due(now)
            .order_by(Mail.is_bulk, Mail.next_try_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for mail in mails:
            mail.attempts += 1
            mail.next_try_at = now + CLAIM * min(2 ** (mail.attempts - 1), 60)
        return list(mails)


def _send(sessions: Sessions, transport: Transport, *, mail: Mail, sender: str) -> int:
    try:
        transport.send(_as_email(mail, sender=sender))
    except Exception as error:  # noqa: BLE001 -- one message that no server takes must not hold up the others
        # The claim's own time is the wait before the next try.
        log.warning("mail %s, try %d, was not handed over: %r", mail.id, mail.attempts, error)
        return 0
    with sessions() as session, transaction(session):
        row = session.get_one(Mail, mail.id)
        row.sent_at = clock.now()
    return 1


def _as_email(mail: Mail, *, sender: str) -> EmailMessage:
    message = EmailMessage(policy=POLICY)
    headers = {
        "From": sender,
        "To": mail.to,
        "Subject": mail.subject,
        "Message-ID": f"<{mail.id}@{sender.rpartition('@')[2].strip('> ')}>",
        "Date": format_datetime(mail.created_at),
        "Auto-Submitted": "auto-generated",
        **_unsubscribing(mail),
    }
    for name, value in headers.items():
        message[name] = value
    message.set_content(mail.text)
    return message


def _unsubscribing(mail: Mail) -> dict[str, str]:
    """The two headers by which a mail program ends such mails with one click (RFC 8058)."""
    if mail.unsubscribe_url is None:
        return {}
    return {
        "List-Unsubscribe": f"<{mail.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def list_mails(session: Session, *, limit: int = 100) -> list[Mail]:
    """The newest messages, for the development page."""
    return list(
        session.scalars(select(Mail).order_by(Mail.created_at.desc(), Mail.id.desc()).limit(limit))
    )


def get_mail(session: Session, mail_id: str) -> Mail:
    """One message, for the development page. Raises NotFound."""
    mail = session.get(Mail, mail_id)
    if mail is None:
        raise NotFound
    return mail
