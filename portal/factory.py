"""Builds the application: settings in, Flask application out. Nothing happens at import."""

import os
import sys
from pathlib import Path

from flask import Flask
from jinja2 import StrictUndefined

from portal import blueprints, housekeeping
from portal.accounts import login
from portal.config import Settings, refuse_sqlite
from portal.core.db import Sessions, make_engine, make_sessions
from portal.sync.handover import HandingOver
from portal.web import assets, filters, problems, security
from portal.web import session as web_session
from portal.web.proxies import TrustedProxies

TOP = Path(__file__).resolve().parent.parent
BODY_MAX_BYTES = 1024 * 1024
CONNECTIONS = 10


def create_app(settings: Settings | None = None, *, sessions: Sessions | None = None) -> Flask:
    """The portal. Without arguments, settings come from the environment. Raises BadSettings."""
    settings = settings or Settings.from_env(os.environ)
    _refuse_stalls(settings)
    if sessions is None:
        engine = make_engine(settings.database_url)
        sessions = make_sessions(engine, strict=settings.strict_sessions)
    app = Flask("portal", root_path=str(TOP), static_folder="static", template_folder="templates")
    app.config.update(_flask_config(settings))
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: {"is_development": settings.is_development})
    web_session.install(app, settings=settings, sessions=sessions)
    security.install(app, settings)
    problems.install(app)
    assets.install(app)
    filters.install(app)
    login.install(app)
    blueprints.install(app, settings=settings, sessions=sessions)
    housekeeping.install(app, settings=settings, sessions=sessions)
    app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    return app


def create_sync_app(settings: Settings | None = None, *, sessions: Sessions | None = None) -> Flask:
    """The sync API alone, for processes of its own that hold thousands of streams. Raises BadSettings."""
    settings = settings or Settings.from_env(os.environ)
    refuse_sqlite(settings)
    if sessions is None:
        # Few, and none for a moment: to open one costs more than to wait for one, and waiting is cheap.
        engine = make_engine(settings.database_url, connections=CONNECTIONS, more=0)
        sessions = make_sessions(engine, strict=settings.strict_sessions)
    app = Flask("portal", root_path=str(TOP), static_folder=None)
    app.config.update(_flask_config(settings))
    web_session.install(app, settings=settings, sessions=sessions)
    security.install(app, settings)
    problems.install(app, has_pages=False)
    fan = blueprints.install_sync(app, settings=settings, sessions=sessions)
    inner = TrustedProxies(app.wsgi_app, settings.trusted_proxies)
    app.wsgi_app = HandingOver(inner, fan)  # type: ignore[method-assign]
    return app


def _refuse_stalls(settings: Settings) -> None:
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("threading"):
        refuse_sqlite(settings)


def _flask_config(settings: Settings) -> dict[str, object]:
    return {
        "SECRET_KEY": settings.secret_key,
        "MAX_CONTENT_LENGTH": BODY_MAX_BYTES,
        # With this beginning no neighbour under the same domain can plant a session of their own.
        "SESSION_COOKIE_NAME": "plimsoll" if settings.is_development else "__Host-plimsoll",
        "SESSION_COOKIE_PATH": "/",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": not settings.is_development,
        "TRUSTED_HOSTS": security.allowed_hosts(settings),
        # Origin is checked by portal.web.security, only where it is sent; a missing Referer is no crime.
        "WTF_CSRF_SSL_STRICT": False,
        "WTF_CSRF_TIME_LIMIT": None,
    }
