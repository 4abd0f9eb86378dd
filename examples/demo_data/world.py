"""What every scene acts in: the portal, the clock, and who and what there is by short names."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias

from flask import Flask
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.core.actor import Actor
from portal.core.db import Sessions, transaction
from portal.keys.models import ApiKey
from portal.keys.queries import get_key
from portal.orgs.models import Org
from portal.transparency.signer import log_transaction

DAY = 86_400
STAFF = "quinn"
# Addresses that nobody has (RFC 5737): what the journal shows beside each act.
_NETWORK = "198.51.100."


class DemoClock:
    """One clock for the portal and its gateways; it stands until it is moved."""

    def __init__(self, at: float) -> None:
        """Begin at a Unix second."""
        self._at = at

    def __call__(self) -> datetime:
        """As the portal asks."""
        return datetime.fromtimestamp(self._at, UTC)

    def now(self) -> float:
        """As a gateway asks for the wall."""
        return self._at

    def monotonic(self) -> float:
        """As a gateway asks for what passes."""
        return self._at

    def set(self, at: float) -> None:
        """Move on; never back, as no clock that all share may."""
        self._at = max(self._at, at)


class HeldKey(NamedTuple):
    """A key as its holder knows it."""

    id: str
    secret: str


@dataclass
class World:
    """The portal while it is lived in. `ends_at` is the now that everything leads up to."""

    app: Flask
    settings: Settings
    clock: DemoClock
    ends_at: int
    password_hash: str
    people: dict[str, Actor] = field(default_factory=dict)
    orgs: dict[str, str] = field(default_factory=dict)
    keys: dict[str, HeldKey] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    _is_logged: bool = False

    @property
    def sessions(self) -> Sessions:
        made: Sessions = self.app.extensions["portal.sessions"]
        return made

    @contextmanager
    def act(self) -> Iterator[Session]:
        """One act of somebody, in a transaction of its own."""
        with self.sessions() as session, transaction(session):
            yield session

    @contextmanager
    def logged(self, actor: Actor) -> Iterator[Session]:
        """One act that enters the public log, and is signed."""
        with (
            self.sessions() as session,
            log_transaction(session, self.sessions, settings=self.settings, actor=actor),
        ):
            yield session
        self._is_logged = True

    def has_logged(self) -> bool:
        """Whether anything entered the log since this was asked last."""
        was, self._is_logged = self._is_logged, False
        return was

    def come(self, name: str, user_id: str, *, is_admin: bool = False) -> None:
        """Remember a person under their short name."""
        ip = f"{_NETWORK}{10 + len(self.people)}"
        email = address(name)
        self.people[name] = Actor(user_id=user_id, name=email, is_admin=is_admin, ip=ip)

    def org(self, session: Session, name: str) -> Org:
        """An organisation, locked as an act on it wants it."""
        return session.get_one(Org, self.orgs[name], with_for_update=True)

    def key(self, session: Session, org: Org, name: str) -> ApiKey:
        """A key by `organisation/name`, locked."""
        return get_key(session, org, key_id=self.keys[name].id, for_update=True)

    def ahead(self, days: float) -> datetime:
        """So many days after the end, to the whole hour."""
        at = self.ends_at + days * DAY
        return datetime.fromtimestamp(at - at % 3600, UTC)

    def from_today(self, days: float) -> datetime:
        """So many days after where the clock stands, to the whole hour."""
        at = self.clock() + timedelta(days=days)
        return at.replace(minute=0, second=0, microsecond=0)


class Scene(NamedTuple):
    """What happens, and how many days before the end."""

    days_before: float
    play: Callable[[World], None]


Scenes: TypeAlias = Sequence[Scene]


def address(name: str) -> str:
    """Where a person of the demo gets mail."""
    return f"{name}@example.com"
