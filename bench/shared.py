"""One decision in a Valkey with four limits beside bare round trips, of any Lua and of the same.

What is bare: a script that returns 1, asked on a connection of the client library and through its
own `evalsha`; and the decision's own script with its keys and arguments, asked without a gateway.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson
import redis

from bench.check import PLENTY, gate, interleaved
from bench.figures import keep
from plimsoll.contract.limits import Cell, Kind, Limit
from plimsoll.counters_script import SCRIPT, Route, key_of, record_key, shape_of
from plimsoll.plans import METRIC_ORDER
from tests.support.valkey import Valkey, serving

ORG = "org_" + "0" * 26
CELLS = (
    Cell("build", "m", "requests", Kind.BUCKET, 60),
    Cell("build", "m", "input_tokens", Kind.BUCKET, 60),
    Cell("build", "m", "output_tokens", Kind.BUCKET, 60),
    Cell("build", "*", "requests", Kind.WINDOW, 86_400),
)


def main() -> None:
    with (
        serving() as valkey,
        tempfile.TemporaryDirectory() as folder,
        gate(Path(folder), counters=valkey.url) as ours,
    ):
        arguments = _arguments()
        asked = (
            _sent(valkey, "PING"),
            _script(valkey, b"return 1", 0),
            _script(valkey, b"return 1", *arguments),
            _script(valkey, SCRIPT, *arguments),
            _client(valkey, b"return 1", 0),
            _client(valkey, b"return 1", *arguments),
            _client(valkey, SCRIPT, *arguments),
        )
        decided, settled, *found = interleaved(ours.check, ours.check_and_settle, *asked)
    ping, bare, bare_same, script, client, client_same, client_script = found
    keep(
        "shared",
        {
            "Enforcer.check, four limits, in Valkey": f"{decided:.1f} µs",
            "its settlement": f"{settled - decided:.1f} µs",
            "PING, bare": f"{ping:.1f} µs",
            "Lua that returns 1, bare": f"{bare:.1f} µs",
            "the same with a decision's arguments": f"{bare_same:.1f} µs",
            "the decision's script, bare": f"{script:.1f} µs",
            "Lua that returns 1, client's evalsha": f"{client:.1f} µs",
            "the same with a decision's arguments, client": f"{client_same:.1f} µs",
            "the decision's script, client's evalsha": f"{client_script:.1f} µs",
            "Lua that returns 1, bare / check": round(bare / decided, 2),
            "the decision's script, bare / check": round(script / decided, 2),
            "Lua that returns 1, client's evalsha / check": round(client / decided, 2),
            "the decision's script, client's evalsha / check": round(client_script / decided, 2),
        },
    )


def _arguments() -> tuple[object, ...]:
    """What a gateway sends with the script: how many keys, the keys, and the rest."""
    limits = [Limit(each, PLENTY, PLENTY if each.kind is Kind.BUCKET else None) for each in CELLS]
    shapes = b"".join(
        shape_of(each, METRIC_ORDER[each.cell.metric], is_charged=True) for each in limits
    )
    keys = [key_of(ORG, f"{each.model}:{each.metric}:{each.kind}:{each.period}") for each in CELLS]
    note = orjson.dumps([[key.decode() for key in keys], shapes.hex()])
    packet = Route(keys, shapes).packet(
        b"decide",
        record_key("dec_" + "0" * 24 + "_1." + ORG, ORG),
        amounts=(1, 10, 10, 20, 1, 1),
        states=bytes(64),
        note=b'["key_%026d","m"]\n%b\n' % (0, note),
    )
    # Nothing sent here holds a line's end of its own.
    return tuple(packet.split(b"\r\n")[6::2])


def _script(valkey: Valkey, script: bytes, *arguments: object) -> Callable[[], object]:
    return _sent(valkey, "EVALSHA", valkey.client.script_load(script), *arguments)


def _sent(valkey: Valkey, *command: object) -> Callable[[], object]:
    connection = redis.ConnectionPool.from_url(valkey.url, protocol=2).make_connection()
    connection.connect()
    packed = connection.pack_command(*command)

    def call() -> object:
        connection.send_packed_command(packed, check_health=False)
        return connection.read_response(disable_decoding=True)

    return call


def _client(valkey: Valkey, script: bytes, *arguments: object) -> Callable[[], object]:
    sha = valkey.client.script_load(script)
    return lambda: valkey.client.evalsha(sha, *arguments)


if __name__ == "__main__":
    main()
