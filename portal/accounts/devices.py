"""Browsers: how they are called on pages, and whether a person has signed in with one before."""

import re

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts import mails
from portal.accounts.models import KnownDevice, User
from portal.core import clock
from portal.core.actor import Actor
from portal.core.ids import new_id
from portal.core.outbox import queue_mail
from portal.core.secrets import digest, link_token
from portal.journal.commands import record

# In this order: each names itself, and most name what they descend from, too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox|FxiOS", "Firefox"),
    ("Chrome|CriOS|Chromium", "Chrome"),
    ("Safari", "Safari"),
    ("curl", "curl"),
    ("python", "a Python program"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone|iPad|iPod", "iOS"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh|Mac OS X", "macOS"),
    ("Linux|X11", "Linux"),
)


def describe(user_agent: str) -> str:
    """A browser in words: "Firefox on Linux". What it says of itself, so a help and no proof."""
    browser = _first(_BROWSERS, user_agent) or "An unknown browser"
    system = _first(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(names: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for pattern, name in names if re.search(pattern, text)), None)


def greet(
    session: Session, *, actor: Actor, user: User, token: str | None, user_agent: str, url: str
) -> str | None:
    """Somebody signs in with a browser; where it is new, mail the person, and return its value for the cookie.

    The very first tells nobody anything: they have just signed up with it.
    """
    known = set(session.scalars(select(KnownDevice.digest).where(KnownDevice.user_id == user.id)))
    if token and digest(token) in known:
        return None
    value = token or link_token()
    session.add(KnownDevice(user_id=user.id, digest=digest(value)))
    if known:
        device = describe(user_agent)
        message = mails.new_device(
            to=user.email, device=device, ip=actor.ip, at=clock.now(), url=url
        )
        queue_mail(session, message, event=new_id("evt"), person=user.id)
        record(session, actor, "user:device:new", subject_id=user.id, device=device)
    return value


def forget_devices(session: Session, *, user_id: str) -> None:
    """After this every browser is new, so that whoever was in comes back with a mail to the person."""
    session.execute(delete(KnownDevice).where(KnownDevice.user_id == user_id))
