"""The demo API behind a gateway of its own, called with one key of Acme's."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from examples.demo_api import guarded
from plimsoll.gateway import Gateway
from plimsoll.serving import Server
from portal.core.db import Sessions, transaction
from portal.orgs.models import Org
from tests.support.cast import Cast
from tests.support.clocks import GatewayClock, ManualClock
from tests.support.factories import make_key
from tests.support.product import eventually
from tests.support.wire import enrol


class GuardedApi:
    """`model` is the one that is called."""

    def __init__(self, url: str, key: str, *, model: str) -> None:
        self._url, self._key, self._model = url, key, model

    def call(self, model: str | None = None) -> httpx2.Response:
        message = {"role": "user", "content": "Hi"}
        body = {"model": model or self._model, "max_tokens": 10, "messages": [message]}
        headers = {"Authorization": f"Bearer {self._key}"}
        return httpx2.post(f"{self._url}/v1/messages", json=body, headers=headers, timeout=10)

    def requests(self) -> tuple[str, int, int]:
        """Tier, quota and what is left of the requests per minute, as an answer's headers say it."""
        answer = self.call()
        name = rf'"(\w+)\.{re.escape(self._model)}\.requests\.1m"'
        policy = re.search(rf"{name};q=(\d+)", answer.headers["RateLimit-Policy"])
        left = re.search(rf"{name};r=(\d+)", answer.headers["RateLimit"])
        assert policy, answer.headers
        assert left, answer.headers
        return policy[1], int(policy[2]), int(left[2])

    def announced(self) -> str | None:
        return self.call().headers.get("Plimsoll-Limit-Change")


@contextmanager
def guarding(
    folder: Path, *, sessions: Sessions, portal: str, cast: Cast, clock: ManualClock, model: str
) -> Iterator[GuardedApi]:
    """Started, and answering."""
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        issued = make_key(session, org=org, actor=cast.ada.actor)
    token = enrol(sessions, "gw-1")
    with Gateway(folder / "gw-1", portal_url=portal, token=token, clock=GatewayClock(clock)) as one:
        server = Server(guarded(one), host="127.0.0.1", port=0)
        made = GuardedApi(server.url, issued.secret.text, model=model)
        eventually(lambda: made.call().status_code == 200)
        yield made
        server.close()
