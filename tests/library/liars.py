"""Portals that do not tell the truth, and somebody who looks at them from outside."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import httpx2
import pytest

from plimsoll.contract import canonical, checkpoint, merkle
from plimsoll.contract.catalog import parse_catalog
from plimsoll.contract.limits import METRICS, parse_cell
from plimsoll.contract.rules import DEFAULT_NOTICE
from plimsoll.testing import ManualClock
from plimsoll.verify import VerificationFailed, verify
from plimsoll.verify_fetch import Reader
from tests.support.worlds import SAMPLE

SEED, OTHER_SEED = b"\x01" * 32, b"\x02" * 32
ORIGIN = "portal.example/log"
URL = "https://portal.example"
AT = 1_793_620_800


@dataclass
class Liar:
    """A portal whose every answer a test may change; it starts out telling the truth."""

    leaves: list[bytes] = field(default_factory=list)
    seed: bytes = SEED
    note: str | None = None
    document: Callable[[dict], object] = lambda said: said
    answers: dict[str, httpx2.Response] = field(default_factory=dict)
    page: int = 1000
    asked: list[str] = field(default_factory=list)

    def sign(self) -> str:
        if self.note is not None:
            return self.note
        root = merkle.root(self.leaves)
        return checkpoint.sign(
            origin=ORIGIN, size=len(self.leaves), root=root, private_key=self.seed
        )

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.asked.append(str(request.url.raw_path, "ascii"))
        if path in self.answers:
            return self.answers[path]
        if path == "/log/checkpoint":
            return httpx2.Response(200, text=self.sign())
        if path == "/limits.json":
            return httpx2.Response(200, json=self.document(truth(self.leaves)))
        asked = parse_qs(request.url.query.decode())
        start, stop = int(asked["from"][0]), int(asked["to"][0])
        end = min(stop, start + self.page, len(self.leaves))
        lines = b"".join(leaf + b"\n" for leaf in self.leaves[start:end])
        more = end < min(stop, len(self.leaves))
        link = {"Link": f'</log/entries?from={end}&to={stop}>; rel="next"'} if more else {}
        return httpx2.Response(200, content=lines, headers=link)


def entry(seq: int, kind: str, body: dict, *, at: int = AT) -> bytes:
    return canonical.encode({"at": at, "body": body, "kind": kind, "seq": seq})


def opened(seed: bytes = SEED) -> bytes:
    public_key = base64.b64encode(checkpoint.public_key_of(seed)).decode()
    body = {"origin": ORIGIN, "public_key": public_key, "notice": dict(DEFAULT_NOTICE)}
    return entry(0, "log.opened", body)


def first_change() -> bytes:
    body = parse_catalog(json.loads(SAMPLE.read_bytes())).announcement_body(
        "chg_01m842nj45fz2skn5ha1ft3cjk", AT, "0" * 64
    )
    return entry(1, "change.announced", body)


def second_change(*, quota: int = 10**7, effective_at: int = AT + 10) -> bytes:
    """One limit of the sample raised, or, with a small quota, cut."""
    body = canonical.decode(first_change())["body"]
    row = next(row for row in body["rows"] if row["kind"] == "bucket")
    raised = {"quota": quota, "burst": quota}
    more = {"change": 2, "id": "chg_01m842nj45fz2skn5ha1ft3cjm", "title": "Another"}
    changed = {"rows": [row | {"from": row["to"], "to": raised}], "effective_at": effective_at}
    return entry(2, "change.announced", body | EMPTY | more | changed, at=AT + 10)


def truth(leaves: list[bytes]) -> dict:
    """The document as the portal would make it, of the sample and its second change."""
    said = {}
    read = [canonical.read(leaf) for leaf in leaves]
    bodies = [each["body"] for each in read if each["kind"] == "change.announced"]
    for body in bodies:
        for row in body["rows"]:
            cell = parse_cell({name: row[name] for name in CELL}, "row")
            said[cell.name] = {
                "name": cell.name,
                **cell.to_wire(),
                "unit": METRICS[cell.metric].unit,
                **row["to"],
                "change": body["change"],
                "valid_from": f"{datetime.fromtimestamp(body['effective_at'], UTC):%FT%TZ}",
                "valid_to": None,
            }
    first = bodies[0] if bodies else EMPTY
    offers = [{"tier": each["tier"], "model": each["model"]} for each in first["offers"]]
    return {
        "format": 1,
        "models": first["models"],
        "tiers": first["tiers"],
        "offers": offers,
        "counting": first["counting"],
        "limits": list(said.values()),
    }


EMPTY = {"models": [], "tiers": [], "offers": [], "counting": {"reserve": {}, "texts": {}}}
CELL = ("tier", "model", "metric", "kind", "period")


@dataclass
class Stranger:
    """Somebody who verifies from time to time and keeps what was seen."""

    keep_in: Path
    clock: ManualClock = field(default_factory=lambda: ManualClock(AT + 60))

    def look(self, portal: Liar, **how) -> list[str]:
        """The steps that succeeded."""
        transport = httpx2.MockTransport(portal)
        reader = Reader(URL, clock=self.clock, transport=transport)
        return [step for step, _ in verify(URL, keep_in=self.keep_in, reader=reader, **how)]

    def refuses(self, portal: Liar, step: str, text: str | None = None, **how) -> None:
        """Verification fails at `step` with `text`, and what was kept stays as it was."""
        kept = self.kept()
        with pytest.raises(VerificationFailed, match=text and re.escape(text)) as failed:
            self.look(portal, **how)
        assert failed.value.step == step
        assert self.kept() == kept

    def kept(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.keep_in.glob("**/*")}
