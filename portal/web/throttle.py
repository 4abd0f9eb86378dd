"""How often an address or a person may try what costs us or could be guessed. One table says it all."""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from flask import request
from sqlalchemy import BigInteger, String, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.core import clock
from portal.core.db import Base, transaction
from portal.core.errors import TooMany
from portal.web.session import sessions


@dataclass(frozen=True)
class Rate:
    times: int
    seconds: int


RATES = {
    "sign_up": Rate(20, 3600),  # by address; EXACT 38
    "sign_in": Rate(30, 900),  # by address
    "sign_in_account": Rate(10, 900),  # by the e-mail address tried, wherever from
    "mail_link": Rate(5, 3600),  # mails to one address that somebody else may have typed
    "set_password": Rate(20, 3600),  # by address
    "reset_password": Rate(20, 3600),  # by address
    "change_address": Rate(5, 86400),  # by person; mails to whom they name
    "second_factor": Rate(10, 3600),  # by person; a whole day of it is right once in 1,400
    "invite": Rate(100, 86400),  # by person; each is a mail to whom they name
    "org_slug": Rate(10, 86400),  # by organisation; each is taken from all others for ever
    "found_org": Rate(10, 86400),  # by person
    "feedback_thread": Rate(10, 3600),  # by person, as all that is said on the board
    "feedback_post": Rate(60, 3600),
    "feedback_vote": Rate(300, 3600),
    "feedback_report": Rate(20, 3600),
    "sync_token": Rate(60, 60),  # wrong gateway tokens, by address
    "api_key": Rate(60, 60),  # wrong API keys, by address
    "api_token": Rate(60, 60),  # wrong access tokens, by address
    "api": Rate(600, 60),  # calls with one access token
}


class ThrottleCount(Base):
    """How many times, in one fixed window."""

    __tablename__ = "throttles"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(String(320), primary_key=True)
    window: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    count: Mapped[int]
    ends_at: Mapped[int] = mapped_column(BigInteger, index=True)


def address() -> str:
    """Where the request comes from, as throttles count it: an IPv4 address or an IPv6 /64.

    A /64 is what a single customer is given, with more addresses than any table could count.
    """
    remote = request.remote_addr or ""
    try:
        found = ip_address(remote)
    except ValueError:  # a socket file has no address
        return remote
    if isinstance(found, IPv4Address) or found.ipv4_mapped:
        return remote
    return str(ip_network(f"{remote}/64", strict=False))


def take(name: str, subject: str) -> None:
    """Count one try. Raises TooMany when there were too many in this window.

    It has a transaction of its own: a refused act is rolled back, its count is not.
    """
    rate, now = RATES[name], clock.timestamp()
    window, passed = divmod(now, rate.seconds)
    with sessions()() as session, transaction(session, wakes=False):
        count = _add(
            session, name=name, subject=subject, window=window, ends_at=now - passed + rate.seconds
        )
    if count > rate.times:
        raise TooMany(retry_after=rate.seconds - passed)


def give_back(name: str, subject: str) -> None:
    """Take one try back: what went well is no guess, and must not lock anyone out."""
    rate = RATES[name]
    with sessions()() as session, transaction(session, wakes=False):
        session.execute(
            update(ThrottleCount)
            .where(
                ThrottleCount.name == name,
                ThrottleCount.subject == subject[:320],
                ThrottleCount.window == clock.timestamp() // rate.seconds,
                ThrottleCount.count > 0,
            )
            .values(count=ThrottleCount.count - 1)
        )


def _add(session: Session, *, name: str, subject: str, window: int, ends_at: int) -> int:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(ThrottleCount).values(
        name=name, subject=subject[:320], window=window, count=1, ends_at=ends_at
    )
    added = session.execute(
        statement.on_conflict_do_update(
            index_elements=["name", "subject", "window"],
            set_={"count": ThrottleCount.count + 1},
        ).returning(ThrottleCount.count)
    )
    return int(added.scalar_one())


def has_past(session: Session) -> bool:
    """Whether there are counts of windows that have ended."""
    past = select(ThrottleCount.count).where(ThrottleCount.ends_at <= clock.timestamp())
    return session.scalar(past.limit(1)) is not None


def forget_past(session: Session) -> int:
    """Delete the counts of windows that have ended."""
    done = session.execute(delete(ThrottleCount).where(ThrottleCount.ends_at <= clock.timestamp()))
    return int(done.rowcount)  # type: ignore[attr-defined]
