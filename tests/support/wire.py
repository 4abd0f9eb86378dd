"""The sync API as a gateway sees it, line by line."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from plimsoll.contract.records import Cursor, digest_after, digest_hex, record_hash, split_put
from portal.core.actor import CLI
from portal.core.db import Sessions, transaction
from portal.sync.commands import add_gateway
from tests.support.clocks import ManualClock


def enrol(sessions: Sessions, name: str = "gw-1") -> str:
    """Enrol a gateway; returns its token."""
    with sessions() as session, transaction(session):
        return add_gateway(session, actor=CLI, name=name, brand="plim")


@dataclass
class Copy:
    """A copy of the state, kept as a gateway keeps it: texts, digest, cursor."""

    records: dict[tuple[str, str], bytes] = field(default_factory=dict)
    digest: int = 0
    epoch: str = ""
    cursor: str | None = None
    heard: list[dict[str, Any]] = field(default_factory=list)

    def take(self, line: bytes) -> str:
        """Take one line; returns its `t`. At a commit, digest and count must fit."""
        said = json.loads(line)
        self.heard.append(said)
        match said["t"]:
            case "hello":
                self.epoch = said["epoch"]
            case "put":
                self._put(line)
            case "commit":
                assert (len(self.records), digest_hex(self.digest)) == (
                    said["count"],
                    said["digest"],
                )
                self.cursor = str(Cursor.at(self.epoch, said["rev"], said["digest"]))
        return str(said["t"])

    def _put(self, line: bytes) -> None:
        put = split_put(line)
        old = self.records.get((put.kind, put.id))
        self.digest = digest_after(
            self.digest,
            added=record_hash(put.kind, put.id, put.data),
            removed=None if old is None else record_hash(put.kind, put.id, old),
        )
        self.records[put.kind, put.id] = put.data

    def of(self, kind: str, record_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.records[kind, record_id])
        return found


@dataclass(frozen=True)
class Wire:
    """Speaks to the portal under test with one token."""

    app: Flask
    token: str

    def headers(self, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Sync-Version": "1"} | more

    def get(self, *, headers: dict[str, str] | None = None, **query: str) -> TestResponse:
        return self.app.test_client().get(
            "/sync/v1/state",
            query_string=query,
            headers=headers or self.headers(),
            buffered=True,
        )

    def pull(self, copy: Copy) -> Copy:
        """One plain GET from where the copy stands."""
        response = self.get(cursor=copy.cursor) if copy.cursor else self.get()
        assert response.status_code == 200, response.text
        body = response.data
        if response.content_encoding == "gzip":
            body = gzip.decompress(body)
        for line in body.splitlines(keepends=True):
            copy.take(line)
        return copy

    def stream(self, cursor: str | None = None) -> Iterator[bytes]:
        """The lines of an open stream, as they come."""
        query = {"stream": "1"} | ({"cursor": cursor} if cursor else {})
        response = self.app.test_client().get(
            "/sync/v1/state", query_string=query, headers=self.headers(), buffered=False
        )
        assert response.status_code == 200
        try:
            for piece in response.iter_encoded():
                yield from piece.splitlines(keepends=True)
        finally:
            response.close()

    def report(self, cursor: str | None, **more: Any) -> TestResponse:
        body = {"cursor": cursor, "nacks": [], "health": {}} | more
        return self.app.test_client().post("/sync/v1/report", json=body, headers=self.headers())


class Line:
    """A gateway's line for usage: counts its own batches, and says what it was answered."""

    def __init__(self, wire: Wire, clock: ManualClock) -> None:
        self._wire = wire
        self._clock = clock
        self.boot, self.seq = 1, 0

    @property
    def minute(self) -> int:
        """The present one, as rows name it."""
        return int(self._clock.at.timestamp()) // 60 * 60

    def post(self, body: object) -> TestResponse:
        client = self._wire.app.test_client()
        return client.post("/sync/v1/usage", json=body, headers=self._wire.headers())

    def batch(self, *rows: list[Any], counters: list[Any] | None = None, **fields: Any) -> Any:
        now = int(self._clock.at.timestamp())
        usual = {"boot": self.boot, "seq": self.seq, "from": now - 60, "to": now}
        return usual | {"rows": list(rows), "counters": counters or []} | fields

    def send(self, *rows: list[Any], counters: list[Any] | None = None) -> TestResponse:
        self.seq += 1
        return self.post(self.batch(*rows, counters=counters))
