"""The real gateway of `plimsoll`, following the portal under test over real HTTP."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from plimsoll.decision import Decision
from plimsoll.gateway import Gateway
from portal.core.db import Sessions
from portal.serve import Server
from tests.support.product import eventually
from tests.support.wire import enrol

CATCH_UP_SECONDS = 10.0


@pytest.fixture
def served(app: Flask) -> Iterator[str]:
    """The portal's address, served by threads of this process as in production."""
    server = Server(app, host="127.0.0.1", port=0, threads=16)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


class Followed:
    """One gateway, and questions about it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def ask(self, secret: str, *, model: str = "fable-5", input_tokens: int = 1) -> Decision:
        """One decision; what was reserved for output is given back at once."""
        enforcer = self.gateway.enforcer
        decision = enforcer.check(secret, model=model, input_tokens=input_tokens, max_tokens=1)
        if decision:
            enforcer.settle(decision.id, output_tokens=0)
        return decision

    def code(self, secret: str) -> str:
        return str(self.ask(secret).code)

    def comes_to(self, secret: str, code: str) -> bool:
        """Wait until the gateway answers so."""
        return bool(eventually(lambda: self.code(secret) == code, seconds=CATCH_UP_SECONDS))


@pytest.fixture
def follow(served: str, sessions: Sessions, tmp_path: Path) -> Iterator[Callable[[str], Followed]]:
    """Enrol a gateway under a name, and start it; it is ready when this returns."""
    with ExitStack() as stack:

        def start(name: str) -> Followed:
            token = enrol(sessions, name)
            gateway = Gateway(tmp_path / name, portal_url=served, token=token)
            stack.enter_context(gateway)
            eventually(lambda: gateway.replica.is_ready, seconds=CATCH_UP_SECONDS)
            return Followed(gateway)

        yield start
