"""Two real gateways beside the portal, in this process and under its clock.

They ask the portal's own WSGI application. A follower holds its stream open for an hour, which
nobody can wait for under a clock that stands; so they poll, as through a proxy that does not stream.
"""

from pathlib import Path

import httpx2
from flask import Flask

from examples.demo_data.world import DemoClock, World
from plimsoll.gateway import Gateway
from plimsoll.usage import SEND_SECONDS
from portal.config import secrets_folder
from portal.core.actor import CLI
from portal.core.seal import SyncHead
from portal.sync.commands import add_gateway

NAMES = ("harbour-1", "harbour-2")
TRIES = 5
# What a change needs to a gateway and back.
WAY_SECONDS = 0.12


class PollingTransport(httpx2.BaseTransport):
    """Asks the application in this process for what is there now."""

    def __init__(self, app: Flask) -> None:
        self._wsgi = httpx2.WSGITransport(app=app)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass a request on, without its wish for a stream."""
        request.url = request.url.copy_remove_param("stream")
        return self._wsgi.handle_request(request)


class Fleet:
    """All gateways of the demo, moved on by hand."""

    def __init__(self, world: World) -> None:
        """Enrol them, and let each load the state."""
        self._world = world
        self.gateways = [_enrol(world, name) for name in NAMES]
        self.level()

    def level(self) -> None:
        """Bring all to the portal's revision, and let them acknowledge it."""
        head, clock = self._revision(), self._world.clock
        for gateway in self.gateways:
            clock.set(clock.now() + WAY_SECONDS)
            for _ in range(TRIES):
                if gateway.replica.head is not None and gateway.replica.head.revision == head:
                    break
                gateway.follower.follow_once()
            else:
                raise RuntimeError(f"a gateway does not follow: {gateway.follower.standing()}")
            gateway.follower.reporter.send_once()

    def is_level(self) -> bool:
        """Whether nothing has changed since the gateways looked."""
        head = self._revision()
        return all(
            each.replica.head is not None and each.replica.head.revision == head
            for each in self.gateways
        )

    def report(self) -> None:
        """Save the counters, and report everything that was counted."""
        for gateway in self.gateways:
            gateway.enforcer.save()
            sender = gateway.follower.sender
            while sender.send_once() < SEND_SECONDS:
                pass
            if sender.spool.next(int(self._world.clock.now())) is not None:
                raise RuntimeError("the portal does not take what a gateway reports")

    def close(self) -> None:
        """Close the stores."""
        for gateway in self.gateways:
            gateway.close()

    def _revision(self) -> int:
        with self._world.sessions() as session:
            return session.get_one(SyncHead, 1).revision


def state_folder(data: Path, name: str) -> Path:
    """Where a gateway of the demo keeps what it knows."""
    return data / f"gateway-{name}"


def token_file(data: Path, name: str) -> Path:
    """Where a gateway of the demo finds its token."""
    return secrets_folder(data) / f"gateway-{name}.token"


def _enrol(world: World, name: str) -> Gateway:
    with world.act() as session:
        token = add_gateway(session, actor=CLI, name=name, brand=world.settings.brand)
    path = token_file(world.settings.data, name)
    path.touch(mode=0o600)
    path.write_text(token, encoding="ascii")
    clock: DemoClock = world.clock
    return Gateway(
        state_folder(world.settings.data, name),
        portal_url=world.settings.url,
        token=token,
        clock=clock,
        transport=PollingTransport(world.app),
    )
