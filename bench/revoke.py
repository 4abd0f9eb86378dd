"""From the click on "Revoke" to the refusal at every gateway, beside a bare commit and a bare loopback request."""

import re
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from bench.figures import keep, percentiles
from bench.world import EMAIL, PASSWORD, World, make, serving
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower

ROUNDS = {1: 100, 50: 30}
BARE_ROUNDS = 100
PATIENCE_SECONDS = 20.0
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def main() -> None:
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for gateways, rounds in ROUNDS.items():
            world = make(Path(folder) / str(gateways), threads=2 * gateways + 10)
            with serving(world) as url:
                result |= _measure(world, url, gateways=gateways, rounds=rounds)
    keep("revoke", result)


def _measure(world: World, url: str, *, gateways: int, rounds: int) -> dict[str, object]:
    keys = world.issue(rounds)
    with ExitStack() as stack:
        client = stack.enter_context(httpx2.Client(base_url=url, timeout=10))
        sign_in(client)
        enforcers = [
            stack.enter_context(gateway(world, url, name=f"gw-{number}"))
            for number in range(gateways)
        ]
        for enforcer in enforcers:
            wait_until(lambda held=enforcer: bool(held.check(keys[-1][1], model="sonnet-5")))
        commits = bare_commits(world.settings.data)
        loopback = bare_requests(client)
        first, last = [], []
        for key_id, secret in keys:
            times = _revoke(client, enforcers, key_id=key_id, secret=secret)
            first.append(min(times))
            last.append(max(times))
    bare = statistics.median(commits) + statistics.median(loopback)
    name = f"{gateways} gateway{'s' if gateways > 1 else ''}"
    return {
        f"{name}: refused at the last": percentiles(last),
        f"{name}: refused at the first": percentiles(first),
        f"{name}: bare commit": percentiles(commits),
        f"{name}: bare loopback request": percentiles(loopback),
        f"{name}: ratio to bare commit + loopback": round(statistics.median(last) / bare, 1),
    }


@contextmanager
def gateway(world: World, url: str, *, name: str) -> Iterator[Enforcer]:
    store = Store(world.settings.data / "gateways" / name)
    replica = Replica(store)
    follower = Follower(replica, url, world.enrol(name))
    follower.start()
    try:
        yield Enforcer(replica)
    finally:
        follower.close()
        store.close()


def sign_in(client: httpx2.Client) -> None:
    token = _token(client.get("/login").text)
    data = {"email": EMAIL, "password": PASSWORD, "csrf_token": token}
    assert client.post("/login", data=data).status_code == 303


def _token(page: str) -> str:
    found = TOKEN.search(page)
    assert found, "the page has no form"
    return found[1]


def _revoke(
    client: httpx2.Client, enforcers: list[Enforcer], *, key_id: str, secret: str
) -> list[float]:
    """Seconds from sending the form to the refusal, by gateway."""
    address = f"/orgs/bench/keys/{key_id}/revoke"
    data = {"reason": "Bench.", "csrf_token": _token(client.get(address).text)}
    post = threading.Thread(target=client.post, args=(address,), kwargs={"data": data})
    waiting, times = list(enforcers), []
    began = time.perf_counter()
    post.start()
    while waiting:
        left = [enforcer for enforcer in waiting if enforcer.check(secret, model="sonnet-5")]
        times += [time.perf_counter() - began] * (len(waiting) - len(left))
        waiting = left
        assert time.perf_counter() - began < PATIENCE_SECONDS
        time.sleep(0.0002)  # the followers run in this process and want the interpreter
    post.join()
    return times


def bare_commits(data: Path) -> list[float]:
    """A one-row commit with the portal's own durability, on the same disk."""
    times = []
    with sqlite3.connect(data / "bare.db", isolation_level=None) as bare:
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        bare.execute("CREATE TABLE t (n INTEGER)")
        bare.execute("INSERT INTO t VALUES (0)")
        for _ in range(BARE_ROUNDS):
            began = time.perf_counter()
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("UPDATE t SET n = n + 1")
            bare.execute("COMMIT")
            times.append(time.perf_counter() - began)
    return times


def bare_requests(client: httpx2.Client) -> list[float]:
    times = []
    for _ in range(BARE_ROUNDS):
        began = time.perf_counter()
        client.get("/healthz")
        times.append(time.perf_counter() - began)
    return times


def wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < ends, "a gateway did not become ready"
        time.sleep(0.01)


if __name__ == "__main__":
    main()
