"""People at a portal under fire: they issue and revoke keys by API and raise limits; what came of it is noted."""

import contextlib
import http.client
import itertools
import json
import random
import time
from typing import Any, NamedTuple

from plimsoll.contract.draft import parse_draft
from portal.changelog.commands import publish_change
from portal.config import Settings
from portal.core.actor import CLI
from portal.core.db import Sessions
from portal.transparency.signer import log_transaction
from tests.faults.history import History

FIRST_KEYS = 12
FIRST_QUOTA = 1000


class KeyAct(NamedTuple):
    """A key as its owner has it."""

    id: str
    secret: str


class People:
    """An organisation's people, by its API token, and staff who publish. Times are monotonic seconds."""

    def __init__(
        self,
        page_port: int,
        token: str,
        *,
        sessions: Sessions,
        settings: Settings,
        history: History,
        chance: random.Random,
    ) -> None:
        self.keys: list[KeyAct] = []
        self._page_port, self._token = page_port, token
        self._sessions, self._settings = sessions, settings
        self._history, self._chance = history, chance
        self._numbers = itertools.count(1)
        self._tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400))

    def acting(self, seconds: float) -> None:
        """People act for so many seconds."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            self.act()
            time.sleep(0.1)

    def issue(self) -> KeyAct | None:
        """Issue a key by API; None where no answer came."""
        # Soon enough that a gateway whose clock were turned forward would refuse it.
        body = {"name": f"Key {next(self._numbers)}", "expires_at": self._tomorrow}
        status, said = self._post("/keys?org=acme", body)
        if status != 201:
            return None
        made = KeyAct(said["key"]["id"], said["secret"])
        self._history.issued[made.id] = time.monotonic()
        self.keys.append(made)
        return made

    def revoke(self, key: KeyAct) -> bool:
        """Revoke a key by API; whether the portal said so."""
        self._history.touched.setdefault(key.id, time.monotonic())
        status, _ = self._post(f"/keys/{key.id}/revoke", {"reason": "The test says so."})
        if status == 200:
            self._history.revoked.setdefault(key.id, time.monotonic())
        return status == 200

    def raise_limit(self) -> None:
        """Publish a higher limit, in force at once."""
        quota = self._history.quotas[-1] + 10
        self._history.quotas.append(quota)
        row = {"tier": "start", "model": "fable-5", "metric": "requests", "kind": "bucket"}
        row |= {"period": 60, "quota": quota}
        draft = parse_draft(
            {"title": f"{quota} requests", "reason": "There is room.", "rows": [row]}
        )
        with (
            self._sessions() as session,
            log_transaction(session, self._sessions, settings=self._settings, actor=CLI),
        ):
            publish_change(session, actor=CLI, draft=draft)

    def act(self) -> None:
        """One act of those above."""
        open_keys = [key for key in self.keys if key.id not in self._history.revoked]
        begun = [key for key in open_keys if key.id in self._history.touched]
        if begun:
            self.revoke(begun[0])
        elif len(open_keys) > FIRST_KEYS and self._chance.random() < 0.6:
            # The oldest few stay, so that there are keys that were active all the time.
            self.revoke(self._chance.choice(open_keys[FIRST_KEYS // 2 :]))
        else:
            self.issue()

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        link = http.client.HTTPConnection("127.0.0.1", self._page_port, timeout=15)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            with contextlib.closing(link):
                link.request("POST", f"/api/v1{path}", json.dumps(body), headers)
                answer = link.getresponse()
                text = answer.read()
        except (OSError, http.client.HTTPException):
            return 0, None
        return answer.status, json.loads(text) if answer.status < 300 else text
