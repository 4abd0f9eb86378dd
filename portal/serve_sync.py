"""Processes of its own for the sync API, under gunicorn with gevent:

`gunicorn -c python:portal.serve_sync app:sync --bind 127.0.0.1:5001 --workers 2`

This is gunicorn's configuration; what its command line says comes first. It is read before the standard
library is patched, so that nothing which keeps locks may be imported above.
"""

import os
import resource
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

import gevent

from portal.config import BadSettings, Settings, refuse_sqlite

if TYPE_CHECKING:
    from portal.sync.hub import Hub

# Beside a stream each gateway keeps a connection for reports, and one for usage.
CONNECTIONS_PER_WATCHER = 3
BYE_SECONDS = 1.0


def _settings() -> Settings:
    try:
        settings = Settings.from_env(os.environ)
        refuse_sqlite(settings)
    except BadSettings as error:
        # Here, in gunicorn's first process: it would start a worker that fails again for ever.
        raise SystemExit(f"plimsoll: {error}") from error
    return settings


def _allow_files() -> None:
    """Each stream is an open file, and shells begin with a thousand."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def post_worker_init(worker: Any) -> None:
    """Let every stream say bye at SIGTERM; gunicorn by itself would wait for them, then cut them off."""
    hub = _hub(worker)

    def end(number: int, frame: FrameType | None) -> None:
        # Not here: whoever was interrupted may hold the lock that stopping takes.
        gevent.spawn(hub.stop)
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, end)


def worker_int(worker: Any) -> None:
    """The same at SIGINT and SIGQUIT, which leave a tenth of a second."""
    _hub(worker).stop()


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Connections that were handed over are nothing that gunicorn would wait for."""
    if worker.booted:
        _hub(worker).stop()
        worker.wsgi.extensions["portal.fan"].wait(BYE_SECONDS)


def _hub(worker: Any) -> "Hub":
    from portal.sync.views import hub_of

    return hub_of(worker.wsgi)


worker_class = "gevent"
worker_connections = CONNECTIONS_PER_WATCHER * _settings().sync_places
# A gateway reports with every heartbeat, so that its connection is kept; five seconds apart.
keepalive = 15
graceful_timeout = 2
# Its path is the same for every gunicorn of a user, and nothing here asks it.
control_socket_disable = True
_allow_files()
