"""A gateway that hears a release's golden bytes and nothing else, by threads of nobody's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson

from plimsoll.contract import records
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower
from plimsoll.testing import ManualClock
from plimsoll.wire import Commit, parse_line

SNAPSHOT, STREAM = "snapshot.ndjson", "stream.ndjson"

_DAY = 86_400
_ALL = (
    *(
        "active",
        "paused",
        "revoked",
        "expired",
        "ending",
        "rotated",
        "successor",
        "test",
        "granted",
    ),
    *("suspended", "lifted", "later", "fresh", "bound", "stranger", "mistyped", "capped"),
)


def _calls(count: int, after: float, key: str, **call: Any) -> Iterator[dict[str, Any]]:
    yield from ({"after": after, "key": key, **call} for _ in range(count))


# What is asked of the gate, in this order: seconds since the stream's end, the key, and the call.
# A call that is `kept` is never settled: it stays in flight.
CALLS: tuple[dict[str, Any], ...] = (
    *(
        {"after": 70 * at, "key": key, "model": "m", "max_tokens": 10}
        for at, key in enumerate(_ALL)
    ),
    *_calls(1, 1190, "capped", model="m", max_tokens=10),
    *_calls(2, 1260, "capped", model="m", max_tokens=10),
    *_calls(1, 1300, "bound", model="m", client_ip="192.0.2.9"),
    *_calls(1, 1301, "bound", model="n", client_ip="2001:db8::9"),
    *_calls(1, 1302, "fresh", model="m", max_tokens=501),
    *_calls(1, 1303, "fresh", model="o"),
    *_calls(1, 1304, "fresh", model=None, input_tokens=7),
    *_calls(2, 1400, "fresh", model="m", input_tokens=300),
    *_calls(4, 1500, "granted", model="m", kept=True),
    *_calls(3, 1600, "fresh", model="n"),
    *_calls(1, 1600.25, "fresh", model="n"),
    *_calls(1, 1631, "fresh", model="n"),
    # The raise of a week and after it, the grant and after it, and the change that was announced.
    *_calls(5, 2 * _DAY, "fresh", model="n"),
    *_calls(3, 9 * _DAY, "fresh", model="n"),
    *_calls(6, 20 * _DAY, "granted", model="m", max_tokens=1),
    *_calls(4, 36 * _DAY, "granted", model="m", max_tokens=1),
    *_calls(1, 61 * _DAY, "ending", model="m"),
)


class Recorded(httpx2.BaseTransport):
    """A portal of which only the bytes are left. `sent` is what the gateway said to it, by path."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.sent: dict[str, list[bytes]] = {"report": [], "usage": []}
        self._files = files

    @property
    def cursor(self) -> str:
        """Where the snapshot ends."""
        return _cursor(self._files[SNAPSHOT])

    def commits(self) -> list[Commit]:
        lines = (self._files[SNAPSHOT] + self._files[STREAM]).splitlines()
        return [said for line in lines if isinstance(said := parse_line(line), Commit)]

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request of the client."""
        what = request.url.path.rpartition("/")[2]
        if what == "state":
            cursor = request.url.params.get("cursor")
            if cursor not in {None, self.cursor}:
                return httpx2.Response(409)
            content = self._files[STREAM if cursor else SNAPSHOT]
            return httpx2.Response(200, stream=httpx2.ByteStream(content))
        self.sent[what].append(request.read())
        return httpx2.Response(200, json={})


def _cursor(lines: bytes) -> str:
    hello, *_, commit = (orjson.loads(line) for line in lines.splitlines())
    return str(records.Cursor.at(hello["epoch"], commit["rev"], commit["digest"]))


class Gate:
    """A gateway of today's code, moved by hand."""

    def __init__(self, store: Store, recorded: Recorded, secrets: dict[str, str]) -> None:
        self.recorded = recorded
        self.ended_at = recorded.commits()[-1].now
        self.clock = ManualClock(float(recorded.commits()[0].now))
        self.replica = Replica(store, clock=self.clock)
        self.follower = Follower(self.replica, "http://golden", "t", transport=recorded)
        self.enforcer = Enforcer(self.replica, portal_url="https://golden.example")
        self._secrets = secrets

    def follow(self) -> None:
        """The snapshot, then the stream to its `bye`."""
        # Twice at the stream: a heartbeat other than before is a reason to ask again.
        for _ in range(3):
            self.follower.follow_once()
        assert self.replica.head is not None
        assert self.replica.head.revision == self.recorded.commits()[-1].rev, (
            self.follower.standing()
        )
        self.follower.reporter.send_once()

    def decide(self, after: float, key: str, *, kept: bool = False, **call: Any) -> dict[str, Any]:
        """One call and what came of it, as it is written down."""
        self.clock.advance(self.ended_at + after - self.clock.now())
        secret = self._secrets.get(key, "plim_live_mistyped")
        decision = self.enforcer.check(secret, **call)
        fields = {
            "code": decision.code.value,
            "status": decision.status,
            "headers": [list(each) for each in decision.headers()],
        }
        if not decision:
            return {**fields, "problem": decision.problem()}
        if not kept:
            self.enforcer.settle(decision.id, output_tokens=5, spend_microusd=3)
        return fields

    def tell(self) -> None:
        """Report, and tell of what was used, batch by batch."""
        self.enforcer.save()
        self.follower.reporter.send_once()
        while self.follower.sender.spool.left:
            self.follower.sender.send_once()
            assert len(self.recorded.sent["usage"]) < 100


@contextmanager
def gate(files: Mapping[str, bytes], state: Path) -> Iterator[Gate]:
    """A gateway on an empty store, with a release's bytes to hear."""
    store = Store(state)
    try:
        yield Gate(store, Recorded(files), orjson.loads(files["secrets.json"]))
    finally:
        store.close()
