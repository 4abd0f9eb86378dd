"""Secrets of keys that a scanner found in public."""

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.tokens import looks_like, secret_digest
from portal.core import clock
from portal.core.actor import Actor
from portal.core.ids import new_id
from portal.core.outbox import queue_mail
from portal.journal.commands import record
from portal.keys import mails
from portal.keys.commands import pause
from portal.keys.models import ApiKey, Environment, KeyLeak, KeyState
from portal.keys.notices import name_key
from portal.keys.queries import get_rules, people_to_tell
from portal.orgs.models import Org

PLACE_MAX = 1000
SOURCE_MAX = 40


@dataclass(frozen=True)
class Found:
    """What a scanner says: a text that may be a key's secret, and where it stands. Its `repr` hides the text."""

    token: str = field(repr=False)
    place: str
    source: str


def digests(found: list[Found], *, brand: str) -> list[tuple[str, Found]]:
    """Those that have a key's shape and checksum, with what a look-up asks for."""
    prefixes = [f"{brand}_{each.value}_" for each in Environment]
    return [
        (secret_digest(each.token), each)
        for each in found
        if any(looks_like(each.token, prefix) for prefix in prefixes)
    ]


def take_leak(session: Session, *, actor: Actor, digest: str, found: Found, url: str) -> bool:
    """Keep that a key is public, tell its people, and pause it where its organisation wants that.

    The same place a second time changes nothing. Returns whether it changed anything.
    """
    key = session.scalar(select(ApiKey).where(ApiKey.digest == digest).with_for_update())
    if key is None or _is_known(session, key, found.place):
        return False
    leak = KeyLeak(id=new_id("leak"), key_id=key.id, url=found.place, source=found.source)
    session.add(leak)
    details = {"name": key.name, "prefix": key.prefix, "place": leak.url, "source": leak.source}
    record(session, actor, "org:key:leaked", org_id=key.org_id, subject_id=key.id, **details)
    was = key.state(clock.now())
    pauses = was is KeyState.ACTIVE and get_rules(session, key.org_id).pause_leaked
    if pauses:
        pause(session, actor=actor, key=key, reason="Its secret was found in public.")
    _tell(session, key, leak, was=was, is_paused=pauses, url=url)
    return True


def _is_known(session: Session, key: ApiKey, place: str) -> bool:
    known = select(KeyLeak.id).where(KeyLeak.key_id == key.id, KeyLeak.url == place)
    return session.scalar(known) is not None


def _tell(
    session: Session, key: ApiKey, leak: KeyLeak, *, was: KeyState, is_paused: bool, url: str
) -> None:
    org, now = session.get_one(Org, key.org_id), clock.now()
    # A secret copied to a thousand places is told once a day; that it was paused, each time.
    event = leak.id if is_paused else f"{key.id}:leaked:{now:%Y-%m-%d}"
    for person in people_to_tell(session, key):
        message = mails.leaked(
            to=person.email,
            key=name_key(key, org, url=url),
            place=leak.url,
            found_at=now,
            state=mails.PAUSED_NOW if is_paused else mails.STATES[was],
        )
        queue_mail(session, message, event=event, person=person.id)
