"""One decision in a Valkey with four limits beside one bare Lua round trip on a connection like ours."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from bench.check import interleaved
from bench.figures import keep
from plimsoll.contract.limits import Kind
from plimsoll.enforcer import Enforcer
from plimsoll.gateway import Gateway
from plimsoll.testing import FakePortal
from tests.library.rig import small_catalog
from tests.support.valkey import Valkey, serving

QUOTA = 10_000_000
ROWS: list[dict[str, object]] = [
    {"quota": QUOTA},
    {"metric": "input_tokens", "quota": QUOTA},
    {"metric": "output_tokens", "quota": QUOTA},
    {"model": "*", "kind": Kind.WINDOW.value, "period": 86_400, "quota": QUOTA},
]


def main() -> None:
    with serving() as valkey, tempfile.TemporaryDirectory() as folder:
        portal = FakePortal()
        portal.publish(small_catalog(*ROWS))
        key = portal.add_key(portal.add_org("build"))
        with _gateway(portal, Path(folder), valkey.url) as enforcer:
            while not enforcer.check(key.secret, model="m"):
                time.sleep(0.01)
            bare, ours, settled, client = interleaved(
                _bare(valkey),
                lambda: _decide(enforcer, key.secret),
                lambda: _decide_and_settle(enforcer, key.secret),
                _client(valkey),
            )
    keep(
        "shared",
        {
            "Enforcer.check, four limits, in Valkey": f"{ours:.1f} µs",
            "one bare Lua round trip, same kind of connection": f"{bare:.1f} µs",
            "bare / ours": round(bare / ours, 2),
            "the same, by the client's own evalsha": f"{client:.1f} µs",
            "its settlement": f"{settled - ours:.1f} µs",
        },
    )


@contextmanager
def _gateway(portal: FakePortal, folder: Path, url: str) -> Iterator[Enforcer]:
    gateway = Gateway(
        folder,
        portal_url=portal.url,
        token=portal.token,
        transport=portal.transport(),
        counters=url,
    )
    with gateway:
        yield gateway.enforcer
        assert gateway.counters == "shared", gateway.counters_problem


def _decide(enforcer: Enforcer, secret: str) -> str:
    return enforcer.check(secret, model="m", input_tokens=10, max_tokens=10).id


def _decide_and_settle(enforcer: Enforcer, secret: str) -> None:
    enforcer.settle(_decide(enforcer, secret), output_tokens=5)


def _bare(valkey: Valkey) -> Callable[[], object]:
    connection = redis.ConnectionPool.from_url(valkey.url, protocol=2).make_connection()
    connection.connect()
    sha = valkey.client.script_load("return 1")
    packed = connection.pack_command("EVALSHA", sha, 0)

    def call() -> object:
        connection.send_packed_command(packed, check_health=False)
        return connection.read_response()

    return call


def _client(valkey: Valkey) -> Callable[[], object]:
    sha = valkey.client.script_load("return 1")
    return lambda: valkey.client.evalsha(sha, 0)


if __name__ == "__main__":
    main()
