"""A portal, its gateways and the proxy between them as real processes, each of which may be killed."""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from plimsoll.contract.records import digest_hex, digest_of, record_hash, split_put
from tests.faults.history import NOBODY, STALE, UNANSWERED, Copy, Decision
from tests.support.product import Started, eventually, free_port, is_open

ANSWER_SECONDS = 5.0
START_SECONDS = 30.0


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PORTAL_")}
    return {**kept, **more}


class GatewayProcess:
    """`plimsoll gateway`; started again, it has the same state and port."""

    def __init__(self, name: str, folder: Path, *, portal_port: int, token: str) -> None:
        self.name = name
        self.folder = folder
        self.state = folder / "state"
        self.port = free_port()
        self._portal_url = f"http://127.0.0.1:{portal_port}"
        self._starts = 0
        self.running: Started | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(token)

    def start(self) -> None:
        self._starts += 1
        said = self.folder / f"said-{self._starts}.txt"
        command = [sys.executable, "-m", "plimsoll", "gateway", "--portal", self._portal_url]
        command += ["--token-file", str(self.folder / "token"), "--state", str(self.state)]
        command += ["--listen", f"127.0.0.1:{self.port}"]
        self.running = Started.launch(command, clean_environment(), said)

    def await_answer(self) -> None:
        eventually(lambda: is_open(self.port), seconds=START_SECONDS)

    def kill(self) -> None:
        assert self.running
        self.running.kill()

    def stop(self) -> None:
        """As an operator does."""
        assert self.running
        if self.running.process.poll() is None:
            self.running.process.send_signal(signal.SIGTERM)
            self.running.process.wait(10)

    def close(self) -> None:
        if self.running is not None and self.running.process.poll() is None:
            self.running.kill()

    def limit_files(self, size: int | None) -> None:
        """Let no file of the process grow past a size: a full disk, wherever tests run.

        Writing beyond fails with EFBIG; Python ignores the signal that comes with it.
        """
        assert self.running
        most = resource.RLIM_INFINITY
        limits = (most if size is None else size, most)
        resource.prlimit(self.running.process.pid, resource.RLIMIT_FSIZE, limits)

    @property
    def said(self) -> str:
        texts = [path.read_text() for path in sorted(self.folder.glob("said-*.txt"))]
        return "\n".join(texts)

    def get(self, path: str, *, key: str = "") -> tuple[int, Any]:
        """Status and JSON of one answer."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(link):
            link.request("GET", path, headers={"X-Api-Key": key} if key else {})
            answer = link.getresponse()
            body = answer.read()
        return answer.status, json.loads(body) if body else None

    def health(self) -> dict[str, Any]:
        """What it says of itself; nothing while it is away."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            found: dict[str, Any] = self.get("/health")[1]
            return found
        return {}


class Asker:
    """Asks one gateway about keys on a connection that is kept, and notes every answer."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._link: http.client.HTTPConnection | None = None
        self.decisions: list[Decision] = []

    def ask(self, key_id: str, secret: str) -> Decision:
        """One decision."""
        is_reused = self._link is not None
        decision = self._ask(key_id, secret)
        is_cut = decision.status == UNANSWERED and decision.code not in {NOBODY, "TimeoutError"}
        if is_cut and is_reused:
            self.decisions.append(decision._replace(code=STALE))
            decision = self._ask(key_id, secret)
        self.decisions.append(decision)
        return decision

    def _ask(self, key_id: str, secret: str) -> Decision:
        began = time.monotonic()
        try:
            status, code = self._send(secret)
        except ConnectionRefusedError:
            status, code = UNANSWERED, NOBODY
        except (OSError, http.client.HTTPException) as error:
            status, code = UNANSWERED, type(error).__name__
        if status == UNANSWERED and self._link is not None:
            self._link.close()
            self._link = None
        return Decision(self._gateway.name, key_id, began, time.monotonic(), status, code)

    def _send(self, secret: str) -> tuple[int, str]:
        if self._link is None:
            link = http.client.HTTPConnection("127.0.0.1", self._gateway.port)
            link.timeout = ANSWER_SECONDS
            link.connect()
            self._link = link
        self._link.request("GET", "/check", headers={"X-Api-Key": secret})
        answer = self._link.getresponse()
        body = answer.read()
        return answer.status, json.loads(body)["code"] if body else ""

    def close(self) -> None:
        if self._link is not None:
            self._link.close()


class ProxyProcess:
    """The proxy; started again, it has the same ports and no faults."""

    def __init__(self, upstream: int, *, lanes: int, seed: int, folder: Path) -> None:
        self.ports = [free_port() for _ in range(lanes)]
        self._plan = {"upstream": upstream, "control": free_port(), "seed": seed}
        self._plan["lanes"] = self.ports
        self._folder = folder
        self._starts = 0
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._told = [0] * lanes
        self._running: Started | None = None

    def start(self) -> None:
        self._starts += 1
        command = [sys.executable, "-m", "tests.faults.proxy", json.dumps(self._plan)]
        said = self._folder / f"proxy-{self._starts}.txt"
        self._running = Started.launch(command, clean_environment(), said)
        control: int = self._plan["control"]
        eventually(lambda: is_open(control), seconds=START_SECONDS)
        self._told = [0] * len(self.ports)

    def kill(self) -> list[tuple[float, int, int, str]]:
        """Kill -9; returns the events that were not told yet."""
        assert self._running
        events = self.events()
        with self._lock:
            self._hang_up()
        self._running.kill()
        return events

    def close(self) -> None:
        with self._lock:
            self._hang_up()
        if self._running is not None and self._running.process.poll() is None:
            self._running.kill()

    def harm(self, lane: int, **faults: Any) -> None:
        """Let a lane behave so from now on; without faults it passes everything again."""
        self._order(do="set", lane=lane, faults=faults)

    def reset(self, lane: int) -> None:
        self._order(do="reset", lane=lane)

    def events(self) -> list[tuple[float, int, int, str]]:
        """What happened since the last call: (at, lane, connection, hello or closed)."""
        found = self._order(do="events", since=self._told)
        for lane, new in enumerate(found):
            self._told[lane] += len(new)
        return [tuple(each) for lane in found for each in lane]

    def _order(self, **order: Any) -> Any:
        with self._lock:
            if self._control is None:
                address = ("127.0.0.1", self._plan["control"])
                self._control = socket.create_connection(address, ANSWER_SECONDS)
            self._control.sendall(json.dumps(order).encode() + b"\n")
            with self._control.makefile("rb") as lines:
                return json.loads(lines.readline())

    def _hang_up(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


def read_copy(name: str, folder: Path) -> Copy | None:
    """What lies in a gateway's store, which nobody may have open; None before the first snapshot."""
    with _copied(folder) as link:
        meta = dict(link.execute("SELECT name, value FROM meta"))
        if "epoch" not in meta:
            return None
        records = _records(link)
        summed = digest_of(record_hash(*identity, data) for identity, data in records.items())
        leaves = tuple(leaf for (leaf,) in link.execute("SELECT leaf FROM log ORDER BY seq"))
    return Copy(name, meta["revision"], meta["digest"], digest_hex(summed), leaves)


def read_spool(folder: Path) -> Counter[str]:
    """Requests by key that a gateway has not told the portal yet."""
    waiting: Counter[str] = Counter()
    with _copied(folder) as link:
        for key, requests in link.execute("SELECT key, sum(requests) FROM usage GROUP BY key"):
            waiting[key] += requests
        for (body,) in link.execute("SELECT body FROM batch WHERE code IS NULL"):
            for key, _, counts, _ in orjson.loads(body)["rows"]:
                waiting[key] += counts.get("requests", 0)
    return waiting


def _records(link: sqlite3.Connection) -> dict[tuple[str, str], bytes]:
    found = {}
    for (lines,) in link.execute("SELECT lines FROM block"):
        for line in lines.split(b"\n"):
            put = split_put(line)
            found[put.kind, put.id] = put.data
    for kind, record_id, data in link.execute("SELECT kind, id, data FROM record"):
        found[kind, record_id] = data
    return found


@contextlib.contextmanager
def _copied(folder: Path) -> Iterator[sqlite3.Connection]:
    """The newest file of a store, copied with its write-ahead log, so that looking changes nothing."""
    with tempfile.TemporaryDirectory() as aside:
        newest = max(folder.glob("state-*.db"))
        for path in folder.glob(f"{newest.name}*"):
            shutil.copy(path, aside)
        with contextlib.closing(sqlite3.connect(Path(aside) / newest.name)) as link:
            yield link
