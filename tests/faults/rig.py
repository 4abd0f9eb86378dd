"""A whole provider under fire: portal, five gateways, the proxy between them, people who act, callers."""

import contextlib
import http.client
import json
import os
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from portal.core.actor import CLI
from portal.core.db import Sessions, transaction
from portal.core.seal import SyncCommit, SyncHead
from portal.sync.check import check
from portal.sync.commands import add_gateway
from portal.usage.models import UsageHour
from tests.faults.history import (
    Down,
    Harm,
    History,
    Limit,
    Position,
    Span,
    Violation,
    clean_links,
)
from tests.faults.people import FIRST_KEYS, FIRST_QUOTA, KeyAct, People
from tests.faults.processes import Asker, GatewayProcess, ProxyProcess, read_copy, read_spool
from tests.faults.sides import Side
from tests.support import worlds
from tests.support.factories import make_org, make_org_token
from tests.support.product import eventually

GATEWAYS = 5
RECENT = 8
CATCH_UP_SECONDS = 60.0
# A line that was harmed shows at the next heartbeat, and a snapshot that was is asked for seconds later.
LINE_SETTLES_SECONDS = 10.0
SETTLES_SECONDS = 2.0
NAP_SECONDS = 0.02
LIMIT = "start.fable-5.requests.1m"
LINE_HARMS = {"drop", "duplicate", "swap", "flip"}


def seed_of_run() -> int:
    """From FAULTS_SEED, to see a run again; else a new one. Printed, and shown where a test fails."""
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1_000_000))
    print(f"FAULTS_SEED={seed}")  # noqa: T201
    return seed


class Rig:
    """Everything together. Times are monotonic seconds."""

    def __init__(self, side: Side, folder: Path, *, seed: int) -> None:
        self.side = side
        self._folder = folder
        self.chance = random.Random(seed)  # noqa: S311 - chance by a seed
        self.history = History(quotas=[FIRST_QUOTA])
        self.events: list[tuple[float, int, int, str]] = []
        self.harms: list[Harm] = []
        self.harmed: dict[int, tuple[float, bool]] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stack = ExitStack()
        self._failures: list[BaseException] = []
        self.people = self._make_people()
        self.proxy = ProxyProcess(side.sync_port, lanes=GATEWAYS, seed=seed, folder=folder)
        self.gateways = [
            GatewayProcess(
                f"gw-{number}",
                folder / f"gw-{number}",
                portal_port=self.proxy.ports[number],
                token=self._enrol(f"gw-{number}"),
            )
            for number in range(GATEWAYS)
        ]
        self.askers = [Asker(gateway) for gateway in self.gateways]

    # ---- setting up ----

    def _make_people(self) -> People:
        worlds.register_records()
        settings = worlds.make_settings(
            self.side.database, self.side.data, url=f"http://127.0.0.1:{self.side.page_port}"
        )
        worlds.migrate(settings)
        self.sessions: Sessions = self._stack.enter_context(worlds.opened(settings))
        catalog = json.loads(worlds.SAMPLE.read_text())
        for tier in catalog["tiers"]:
            tier["keys_max"] = None
        worlds.publish(self.sessions, settings, catalog)
        with self.sessions() as session, transaction(session):
            org = make_org(session, name="Acme")
            token = make_org_token(session, org=org).secret.text
        return People(
            self.side.page_port,
            token,
            sessions=self.sessions,
            settings=settings,
            history=self.history,
            chance=self.chance,
        )

    def _enrol(self, name: str) -> str:
        with self.sessions() as session, transaction(session):
            return add_gateway(session, actor=CLI, name=name, brand="plim")

    def start(self) -> None:
        """Everything up, each gateway ready, callers calling."""
        self.side.start()
        self.proxy.start()
        for gateway in self.gateways:
            gateway.start()
        for _ in range(FIRST_KEYS):
            self.people.issue()
        for gateway in self.gateways:
            gateway.await_answer()
        self.await_level()
        for number in range(GATEWAYS):
            self._run(self._call, number)
        self._run(self._look)
        self._run(self._note_lateness)

    def _run(self, what: Callable[..., None], *values: Any) -> None:
        def run() -> None:
            try:
                what(*values)
            except BaseException as error:
                self._failures.append(error)
                raise

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        for gateway in self.gateways:
            gateway.close()
        self.proxy.close()
        self.side.close()
        for asker in self.askers:
            asker.close()
        self._stack.close()

    # ---- what callers and operators see ----

    def _call(self, number: int) -> None:
        asker, turn = self.askers[number], 0
        while not self._stop.wait(0.02):
            turn += 1
            asker.ask(*self._asked(turn))
            if turn % 10 == 0:
                self.look_at(number)

    def _asked(self, turn: int) -> KeyAct:
        turn, is_odd = divmod(turn, 2)
        keys = self.people.keys
        if is_odd:
            # Active all the time: however slow the machine, a gateway that decides admits one soon.
            return keys[turn % (FIRST_KEYS // 2)]
        # The newest and the newly revoked are what faults could harm; the rest comes by turns.
        recent = list(self.history.revoked)[-RECENT:]
        asked = [key for key in keys if key.id in recent]
        asked += [*keys[-2:], keys[turn % len(keys)]]
        return asked[turn % len(asked)]

    def look_at(self, number: int) -> None:
        """Note where a gateway says that it stands, and a limit that it enforces."""
        gateway = self.gateways[number]
        cursor = gateway.health().get("cursor")
        if cursor:
            _, revision, digest = cursor.split(".")
            self.history.positions.append(Position(gateway.name, int(revision), digest))
        with contextlib.suppress(OSError, http.client.HTTPException):
            began = time.monotonic()
            status, said = gateway.get("/limits", key=self.people.keys[0].secret)
            if status == 200:
                quota = next(each["quota"] for each in said["limits"] if each["limit"] == LIMIT)
                self.history.limits.append(Limit(gateway.name, began, quota))

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            self.note_commits()

    def _note_lateness(self) -> None:
        with (self._folder / "synced").open("wb", buffering=0) as file:
            while not self._stop.is_set():
                began = time.monotonic()
                time.sleep(NAP_SECONDS)
                woken = time.monotonic()
                file.write(b"x")
                os.fsync(file.fileno())
                synced = time.monotonic() - woken
                self.history.late = max(self.history.late, woken - began - NAP_SECONDS)
                self.history.synced = max(self.history.synced, synced)

    def note_commits(self) -> None:
        """What the portal committed, and signed, before it may forget it."""
        with self.sessions() as session:
            for revision, digest in session.execute(select(SyncCommit.revision, SyncCommit.digest)):
                self.history.commits.setdefault(revision, set()).add(digest)

    # ---- what goes wrong ----

    def harm(self, lane: int, **faults: Any) -> None:
        """Harm a lane until it is mended."""
        self.harmed[lane] = time.monotonic(), bool(LINE_HARMS & faults.keys())
        self.proxy.harm(lane, **faults)

    def mend(self, lane: int) -> None:
        """Let a lane pass everything again."""
        self.proxy.harm(lane)
        began, is_of_lines = self.harmed.pop(lane)
        ended = time.monotonic()
        settles = LINE_SETTLES_SECONDS if is_of_lines else SETTLES_SECONDS
        self.harms.append(Harm(lane, began, ended, ended + settles))

    def kill_proxy(self) -> None:
        """Kill -9, and start again; faults are gone with it."""
        for lane in list(self.harmed):
            self.mend(lane)
        self.events += self.proxy.kill()
        at = time.monotonic()
        self.events += [(at, lane, -1, "closed") for lane in range(GATEWAYS)]
        self.proxy.start()

    def kill_gateway(self, number: int, *, seconds: float = 0.0) -> None:
        """Kill -9, look at what lies on its disk, and start again after so many seconds."""
        gateway = self.gateways[number]
        began = time.monotonic()
        gateway.kill()
        gone = time.monotonic()
        self.keep_copy(gateway)
        time.sleep(seconds)
        gateway.start()
        gateway.await_answer()
        self.history.downs.append(Down(began, gone, time.monotonic(), gateway.name))

    @contextmanager
    def portal_away(self, how: str = "kill") -> Iterator[None]:
        """The portal's processes are gone within this block, and back after it."""
        getattr(self.side, how)()
        began = time.monotonic()
        try:
            yield
        finally:
            self.history.outages.append(Span(began, time.monotonic()))
            self.side.start()

    def restore(self, backup: Path, *, restore: Callable[[Path], None]) -> None:
        """Put an older backup in the database's place; what came after it is forgotten."""
        taken_at = backup.stat().st_mtime - time.time() + time.monotonic()
        self.note_commits()
        with self.portal_away():
            restore(backup)
            at = time.monotonic()
            for each in [key for key, issued in self.history.issued.items() if issued > taken_at]:
                self.history.touched[each] = min(at, self.history.touched.get(each, at))
            for each in [key for key, gone in self.history.revoked.items() if gone > taken_at]:
                # Where it was refused it stays refused, and that is judged; nobody else can know.
                del self.history.revoked[each]
        self.history.has_all_usage = False

    def keep_copy(self, gateway: GatewayProcess) -> None:
        copy = read_copy(gateway.name, gateway.state)
        if copy is not None:
            self.history.copies.append(copy)

    # ---- the end ----

    def cursor(self) -> str:
        with self.sessions() as session:
            head = session.scalars(select(SyncHead)).one()
            return f"{head.epoch}.{head.revision}.{head.digest[:8]}"

    def await_level(self, seconds: float = CATCH_UP_SECONDS) -> None:
        """Until every gateway stands where the portal stands, and has told all that it counted."""

        def is_level() -> bool:
            cursor = self.cursor()
            found = [gateway.health() for gateway in self.gateways]
            return all(
                each.get("cursor") == cursor and each["portal"] == "following" for each in found
            )

        try:
            eventually(is_level, seconds=seconds)
        except AssertionError:
            raise AssertionError(f"{self.cursor()} is not where they are: {self.state()}") from None

    def state(self) -> str:
        return "\n".join(
            f"{each.name}: {each.health()}\n{each.said[-3000:]}" for each in self.gateways
        )

    def finish(self) -> History:
        """Mend all, let all come level, ask about every key once more, and collect what is known."""
        for lane in list(self.harmed):
            self.mend(lane)
        self.await_level()
        self.events += self.proxy.events()
        self._ask_all()
        self._stop.set()
        for thread in self._threads:
            thread.join(15)
        assert not self._failures, self._failures
        self._await_usage()
        self.note_commits()
        self.history.leaves = self._get("/log/entries").splitlines()
        for gateway in self.gateways:
            gateway.stop()
            self.keep_copy(gateway)
            self.history.spooled.update(read_spool(gateway.state))
        self.history.counted = self.counted()
        self.history.decisions = [each for asker in self.askers for each in asker.decisions]
        self.history.links = clean_links(self.events, self.harms)
        return self.history

    def judge(self) -> None:
        """Fails where a rule was broken; says which first, then what was done to whom it concerns."""
        found = self.history.judge()
        assert not found, self._explain(found)
        with self.sessions() as session:
            assert check(session).is_clean

    def _explain(self, found: list[Violation]) -> str:
        history = self.history
        parts = [f"{each.rule}: {each.text}" for each in found[:10]]
        parts += [
            f"{len(found)} violations; late by {history.late:.2f} s at worst, {history.synced:.2f} s to sync"
        ]
        parts += [f"outages {history.outages}", f"downs {history.downs}"]
        for number, gateway in enumerate(self.gateways):
            if not any(gateway.name in each.text for each in found[:10]):
                continue
            harms = [each[1:] for each in self.harms if each.lane == number]
            links = [each[:2] for each in history.links if each.gateway == gateway.name]
            parts += [f"{gateway.name} harmed {harms}", f"links {links}", gateway.said[-3000:]]
        return "\n".join(parts)

    def _ask_all(self) -> None:
        # By askers of their own: those of the threads are busy.
        for number, gateway in enumerate(self.gateways):
            asker = Asker(gateway)
            for key in self.people.keys:
                asker.ask(*key)
            asker.close()
            self.askers.append(asker)
            self.look_at(number)

    def _await_usage(self) -> None:
        time.sleep(1.2)  # the last second is saved
        eventually(
            lambda: not any(gateway.health().get("usage_waiting", 1) for gateway in self.gateways),
            seconds=CATCH_UP_SECONDS,
        )
        known = self.counted()
        while True:
            time.sleep(2.5)
            now = self.counted()
            if now == known:
                return
            known = now

    def _get(self, path: str) -> bytes:
        link = http.client.HTTPConnection("127.0.0.1", self.side.page_port, timeout=15)
        with contextlib.closing(link):
            link.request("GET", path)
            return link.getresponse().read()

    def counted(self) -> Counter[str]:
        """Requests by key as the portal has them."""
        found: Counter[str] = Counter()
        with self.sessions() as session:
            for key, requests in session.execute(select(UsageHour.key_id, UsageHour.requests)):
                found[key] += requests
        return found
