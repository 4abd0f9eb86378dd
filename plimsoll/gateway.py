"""All parts of a gateway, opened and closed together: what an application embeds."""

import itertools
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from plimsoll.clock import Clock
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower

if TYPE_CHECKING:
    import httpx2

    from plimsoll.counters_redis import SharedCounters

logger = logging.getLogger(__name__)

SAVE_SECONDS = 1.0
_SAVES_A_CHECKPOINT = 10


class Gateway:
    """A store, its replica, the follower of a portal, and the enforcer to ask.

    ```python
    with Gateway("state", portal_url="https://portal.example", token=token) as gateway:
        app = GuardMiddleware(app, gateway.enforcer, describe=describe)
    ```

    One state folder serves one process; give each worker process its own.
    """

    def __init__(  # noqa: PLR0913 - the options of a gateway, all but three with a default
        self,
        directory: str | Path,
        *,
        portal_url: str,
        token: str | Callable[[], str],
        observe: bool = False,
        max_stale_seconds: float | None = None,
        fingerprint: str | None = None,
        brand: str = "plim",
        counters: str | None = None,
        clock: Clock | None = None,
        transport: "httpx2.BaseTransport | None" = None,
    ) -> None:
        """Open the state folder; nothing runs before `start` (or the `with` block).

        `token` is the gateway's token or a function that gives it; `fingerprint` (SHA-256 in hex)
        pins the log's key, which is otherwise trusted on first use; `brand` is what the
        provider's keys begin with; `counters` is the address of a Redis or Valkey in which several
        gateways count together (`redis://`, `rediss://` or `unix://`; needs the extra `redis`).

        Raises:
            StoreInUse: another process has the folder open.
            ValueError: `counters` is no such address, or the extra is not installed.
        """
        self._shared = None if counters is None else _shared_counters(counters)
        self.store = Store(directory)
        self.replica = Replica(self.store, clock=clock, fingerprint=fingerprint)
        self.enforcer = Enforcer(
            self.replica,
            portal_url=portal_url,
            observe=observe,
            max_stale_seconds=max_stale_seconds,
            key_prefixes=(f"{brand}_live_", f"{brand}_test_"),
            shared=self._shared,
        )
        self.follower = Follower(
            self.replica, portal_url, token, transport=transport, counters=lambda: self.counters
        )
        self._stop = threading.Event()
        self._saver = threading.Thread(target=self._save_often, name="plimsoll-saver", daemon=True)

    @property
    def counters(self) -> str:
        """`shared` while the shared counters answer, else `local`."""
        return "shared" if self._shared is not None and self._shared.is_up else "local"

    @property
    def counters_problem(self) -> str | None:
        """Why counters that should be shared are not, in words."""
        return None if self._shared is None else self._shared.problem

    def start(self) -> Self:
        """Follow the portal and save the counters each second, in threads of our own."""
        if self._shared is not None:
            self._shared.start()
        self.follower.start()
        self._saver.start()
        return self

    def close(self) -> None:
        """Stop within 2 seconds, with the counters saved. A second call does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        self.follower.close()
        if self._shared is not None:
            self._shared.close()
        if self._saver.ident is not None:
            self._saver.join()
        try:
            self.enforcer.save()
        finally:
            self.store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _save_often(self) -> None:
        for number in itertools.count(1):
            if self._stop.wait(SAVE_SECONDS):
                return
            try:
                self.enforcer.save()
                if number % _SAVES_A_CHECKPOINT == 0:
                    self.store.checkpoint()
            except Exception:
                # A full disk must not end the saving: it may be emptied again.
                logger.exception("the store could not be written")


def _shared_counters(url: str) -> "SharedCounters":
    # Only who shares counters needs the client, or pays for importing it.
    from plimsoll.counters_redis import SharedCounters

    return SharedCounters(url)
