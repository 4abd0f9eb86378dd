"""A portal and a clock for tests, yours and ours: public API.

```python
portal = FakePortal(clock=ManualClock())
portal.publish(catalog)                       # the content of a catalogue file
key = portal.add_key(portal.add_org("build"))
portal.announce({"rows": [row]}, effective_in=30 * 86_400)
gateway = Gateway(state, portal_url=portal.url, token=portal.token,
                  transport=portal.transport())   # a context manager
```

`FakePortal` speaks the sync API in process: as an httpx2 transport, or as a WSGI application on a
real socket (`with portal.serve() as url`). It signs its log with a key that everyone knows. The log
takes further changes as the real one does, by the same rule: see `plimsoll.testing_log.FakeLog`.
"""

import itertools
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from plimsoll.clock import Clock, SystemClock
from plimsoll.contract import canonical, records, tokens
from plimsoll.testing_clock import ManualClock
from plimsoll.testing_log import FakeLog
from plimsoll.testing_usage import FakeIngest

if TYPE_CHECKING:
    import httpx2

__all__ = ["FakeKey", "FakePortal", "ManualClock", "Tamper"]

_OK, _BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _CONFLICT = 200, 400, 401, 404, 409

Tamper = Callable[[list[bytes]], list[bytes]]


class FakeKey(NamedTuple):
    """An issued key: its handle and the secret that callers send."""

    id: str
    secret: str


class FakePortal(FakeLog):
    """The sync API over records in memory. Each change is a commit, unless inside `batch()`."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        heartbeat: float = 5,
        origin: str = "portal.test/log",
        token: str = "plimgw_test",  # noqa: S107 - a made-up one
    ) -> None:
        """An empty state at revision 0; `heartbeat` in seconds."""
        super().__init__(origin)
        self.clock = clock or SystemClock()
        self.url = "http://portal.test"
        self.token = token
        self.heartbeat = heartbeat
        self.epoch = secrets.token_hex(16)
        # What was asked (path with query) and reported, oldest first.
        self.requests: list[str] = []
        self.reports: list[dict[str, Any]] = []
        self.usage = FakeIngest()
        # Faults: no answer at all, and a hand on the lines of each answer and each batch.
        self.is_down = False
        self.tamper: Tamper | None = None
        self._records: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._commits: dict[int, int] = {}
        self._touched: dict[tuple[str, str], bytes] = {}
        self._depth = 0
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._watches: list[_Watch] = []
        self._beats = 0
        self.revision = 0
        self.digest = 0

    # ---- content ----

    def add_org(self, tier: str, **fields: object) -> str:
        """Add an organisation; `state` and `grants` may be given. Returns its id."""
        org_id = f"org_{next(self._ids):026d}"
        self.put_fields("org", org_id, {"tier": tier, "state": "active", "grants": [], **fields})
        return org_id

    def add_key(self, org_id: str, **fields: object) -> FakeKey:
        """Issue a key; any field of its record may be given."""
        key_id = f"key_{next(self._ids):026d}"
        prefix = f"plim_{fields.get('environment', 'live')}_"
        secret = tokens.build(prefix, tokens.new_body(secrets.choice))
        record: dict[str, object] = {
            "hash": tokens.secret_digest(secret),
            "org": org_id,
            "lineage": key_id,
            "environment": "live",
            "state": "active",
            "expires_at": None,
            "models": None,
            "networks": None,
            "caps": [],
        }
        self.put_fields("key", key_id, {**record, **fields})
        return FakeKey(key_id, secret)

    def change(self, record_id: str, **fields: object) -> None:
        """Change fields of an organisation's or a key's record."""
        kind = record_id.partition("_")[0]
        self.put_fields(kind, record_id, {**self.fields(kind, record_id), **fields})

    def revoke(self, key_id: str) -> None:
        """Revoke a key."""
        self.change(key_id, state="revoked")

    def put_fields(self, kind: str, record_id: str, fields: Mapping[str, object]) -> None:
        """Set a record from its fields."""
        self.put(kind, record_id, canonical.encode(dict(fields)))

    def put(self, kind: str, record_id: str, data: bytes) -> None:
        """Set a record to any bytes, readable or not."""
        with self.batch():
            self._touched[kind, record_id] = data

    def forget(self, kind: str, record_id: str) -> None:
        """Lose a record, as no portal may: with its hash, so that the digest fits."""
        with self._changed:
            _, data = self._records.pop((kind, record_id))
            gone = records.record_hash(kind, record_id, data)
            self.digest = records.digest_after(self.digest, removed=gone)
            self._commits[self.revision] = self.digest

    def identities(self) -> list[tuple[str, str]]:
        """Kind and id of every record."""
        return list(self._records)

    def data(self, kind: str, record_id: str) -> bytes:
        """A record as it is sent."""
        return self._records[kind, record_id][1]

    def fields(self, kind: str, record_id: str) -> dict[str, Any]:
        """A record taken apart."""
        fields: dict[str, Any] = orjson.loads(self.data(kind, record_id))
        return fields

    @contextmanager
    def batch(self) -> Iterator[None]:
        """What changes inside is one commit."""
        with self._changed:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            if not self._depth and self._touched:
                self._seal()
                self._changed.notify_all()

    # ---- history ----

    def new_epoch(self) -> None:
        """Begin a new epoch with the same records."""
        with self._changed:
            self.epoch = secrets.token_hex(16)
            self._commits = {self.revision: self.digest}
        self.drop()

    def save(self) -> dict[str, Any]:
        """A backup of everything."""
        fields = ("_records", "_commits", "_entries", "revision", "digest", "epoch")
        return {name: _copied(getattr(self, name)) for name in fields}

    def restore(self, backup: Mapping[str, Any]) -> None:
        """Go back to a backup, as if nothing had happened since."""
        with self._changed:
            for name, value in backup.items():
                setattr(self, name, _copied(value))
            self._history = None
        self.drop()

    def drop(self) -> None:
        """Break all open streams."""
        with self._changed:
            for watch in self._watches:
                watch.is_closed = True
            self._watches.clear()
            self._changed.notify_all()

    def beat(self) -> None:
        """Send a heartbeat to all streams now."""
        with self._changed:
            self._beats += 1
            self._changed.notify_all()

    @property
    def watchers(self) -> int:
        """How many streams are open."""
        return len(self._watches)

    @property
    def now(self) -> int:
        """The portal's time in whole Unix seconds."""
        return int(self.clock.now())

    # ---- answers ----

    def transport(self) -> "httpx2.BaseTransport":
        """A transport for `Follower` and `Gateway` that stays in this process."""
        from plimsoll.testing_http import FakeTransport

        return FakeTransport(self.answer, lambda: self.is_down)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve on a real socket of this machine; yields the address."""
        from plimsoll.testing_http import serving

        with serving(self) as url:
            self.url, unserved = url, self.url
            try:
                yield url
            finally:
                self.url = unserved
                self.drop()

    def __call__(
        self, environ: Mapping[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """The sync API as a WSGI application."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        target = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        status, content = self.answer(target, environ.get("HTTP_AUTHORIZATION", ""), body)
        headers = [("Content-Type", "application/x-ndjson")]
        start_response(f"{status} {'OK' if status == _OK else 'Refused'}", headers)
        return content

    def answer(self, target: str, authorization: str, body: bytes) -> "tuple[int, Iterable[bytes]]":
        """Status and body for a request to `target` (path with query)."""
        self.requests.append(target)
        path, _, query = target.partition("?")
        if authorization != f"Bearer {self.token}":
            return _UNAUTHORIZED, []
        if path == "/sync/v1/report":
            self.reports.append(orjson.loads(body))
            return _OK, [b"{}"]
        if path == "/sync/v1/usage":
            status, said = self.usage.take(body)
            return status, [orjson.dumps(said)]
        if path != "/sync/v1/state":
            return _NOT_FOUND, []
        return self._state(parse_qs(query))

    # ---- inside ----

    def _state(self, query: Mapping[str, list[str]]) -> "tuple[int, Iterable[bytes]]":
        since = 0
        with self._changed:
            if "cursor" in query:
                try:
                    cursor = records.Cursor.parse(query["cursor"][0])
                except records.MalformedCursor:
                    return _BAD_REQUEST, []
                since = cursor.revision
                known = self._commits.get(since)
                if known is None or cursor != records.Cursor.at(self.epoch, since, known):
                    return _CONFLICT, []
            watch = _Watch(self, since, is_open="stream" in query)
            if watch.is_open:
                self._watches.append(watch)
        return _OK, watch

    def _seal(self) -> None:
        self.revision += 1
        for (kind, record_id), data in self._touched.items():
            old = self._records.get((kind, record_id))
            self.digest = records.digest_after(
                self.digest,
                added=records.record_hash(kind, record_id, data),
                removed=records.record_hash(kind, record_id, old[1]) if old else None,
            )
            self._records[kind, record_id] = (self.revision, data)
        self._touched.clear()
        self._commits[self.revision] = self.digest

    def _hello(self, since: int) -> bytes:
        fields = {"t": "hello", "epoch": self.epoch, "since": since, "head": self.revision}
        return orjson.dumps({**fields, "heartbeat": self.heartbeat, "now": self.now}) + b"\n"

    def _delta(self, since: int) -> list[bytes]:
        lines = [
            records.put_line(kind, record_id, rev, data)
            for (kind, record_id), (rev, data) in self._records.items()
            if rev > since
        ]
        digest = records.digest_hex(self.digest)
        count = len(self._records)
        lines.append(
            records.commit_line(rev=self.revision, count=count, digest=digest, now=self.now)
        )
        return lines if self.tamper is None else self.tamper(lines)

    def _heartbeat(self) -> bytes:
        digest = records.digest_hex(self.digest)
        return records.heartbeat_line(rev=self.revision, digest=digest, now=self.now)


class _Watch:
    """One answer to `GET /sync/v1/state`, as an iterator of chunks."""

    def __init__(self, portal: FakePortal, since: int, *, is_open: bool) -> None:
        self.is_open = is_open
        self.is_closed = False
        self._portal = portal
        self._since = since
        self._chunks = self._generate()

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """End the stream; also from another thread."""
        with self._portal._changed:  # noqa: SLF001 - two halves of one fake
            self.is_closed = True
            self._portal._changed.notify_all()  # noqa: SLF001

    def _generate(self) -> Iterator[bytes]:
        portal = self._portal
        with portal._changed:  # noqa: SLF001
            chunk = portal._hello(self._since)  # noqa: SLF001
            chunk += self._news() if portal.revision > self._since or not self.is_open else b""
        yield chunk
        while self.is_open:
            with portal._changed:  # noqa: SLF001
                chunk = self._wait()
            if self.is_closed:
                return
            yield chunk

    def _wait(self) -> bytes:
        portal = self._portal
        beats = portal._beats  # noqa: SLF001

        def is_due() -> bool:
            is_behind = portal.revision != self._since
            return self.is_closed or is_behind or portal._beats != beats  # noqa: SLF001

        portal._changed.wait_for(is_due, timeout=portal.heartbeat)  # noqa: SLF001
        if portal.revision != self._since:
            return self._news()
        return portal._heartbeat()  # noqa: SLF001

    def _news(self) -> bytes:
        lines = self._portal._delta(self._since)  # noqa: SLF001
        self._since = self._portal.revision
        return b"".join(lines)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, (dict, list)) else value
