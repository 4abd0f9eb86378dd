"""What the application carries: its settings and its factory of sessions; one session per request."""

from typing import Any

from flask import Flask, current_app, g
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.core.db import PortalSession, Sessions


def install(app: Flask, *, settings: Settings, sessions: Sessions) -> None:
    """Hang settings and sessions on the application, and close each request's session."""
    app.extensions["portal.settings"] = settings
    app.extensions["portal.sessions"] = sessions
    app.teardown_appcontext(_close)


def settings() -> Settings:
    found: Settings = current_app.extensions["portal.settings"]
    return found


def sessions() -> Sessions:
    found: Sessions = current_app.extensions["portal.sessions"]
    return found


def extension(name: str) -> Any:
    """What a slice has hung on the application under `portal.<name>`."""
    return current_app.extensions[f"portal.{name}"]


def session() -> Session:
    """The request's session, opened at first use."""
    if "session" not in g:
        g.session = sessions()()
    found: PortalSession = g.session
    return found


def _close(error: BaseException | None) -> None:  # noqa: ARG001
    opened: PortalSession | None = g.pop("session", None)
    if opened is not None:
        opened.close()
