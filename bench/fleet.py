"""`python -m bench.fleet URL FOLDER`: gateways, each in a process of its own, led by lines on standard input.

The first line holds a token for each; their process ids are answered once all have the state. Then each line
is a key: "watching" is answered once every gateway knows it, and a list of instants once every gateway refuses it.
In one process they would wait for each other's turn at the interpreter, as gateways never do.
"""

import gc
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

# Loaded once, for all that are forked from here.
import httpx2  # noqa: F401

from plimsoll.contract.records import Put
from plimsoll.decision import Code
from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower
from plimsoll.wire import Commit

MODEL = "sonnet-5"
KEY_IS_GOOD = (Code.ALLOWED, Code.LIMIT_EXCEEDED)
FORK = multiprocessing.get_context("fork")


def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    tokens = sys.stdin.readline().split()
    gc.freeze()
    gateways = [_fork(url, token, folder / str(number)) for number, token in enumerate(tokens)]
    print(json.dumps(_hear_all(gateways)), flush=True)
    for line in sys.stdin:
        for each in gateways:
            each.send(line.strip())
        _hear_all(gateways)
        print("watching", flush=True)
        print(json.dumps(_hear_all(gateways)), flush=True)


def _fork(url: str, token: str, folder: Path) -> Connection:
    ours, its = FORK.Pipe()
    FORK.Process(target=_run, args=(url, token, folder), kwargs={"pipe": its}, daemon=True).start()
    its.close()
    return ours


def _hear_all(gateways: Sequence[Connection]) -> list[Any]:
    """One answer of each, in the order in which they come."""
    waiting, heard = list(gateways), []
    while waiting:
        for each in wait(waiting):
            heard.append(each.recv())
            waiting.remove(each)
    return heard


class _Watched(Replica):
    """Says when a key is refused that was not: asked after each commit, by the thread that follows."""

    def watch(self, secret: str, pipe: Connection) -> None:
        # Asked ten times a second, the limits may refuse it; that is judged after the key itself.
        assert Enforcer(self).check(secret, model=MODEL).code in KEY_IS_GOOD
        self._secret, self._pipe = secret, pipe

    def commit(self, puts: Sequence[Put], commit: Commit, epoch: str) -> None:
        super().commit(puts, commit, epoch)
        if self._secret and self._refuses(self._secret):
            self._secret = ""
            self._pipe.send(time.monotonic())

    _secret = ""

    def _refuses(self, secret: str) -> bool:
        return Enforcer(self).check(secret, model=MODEL).code is Code.KEY_REVOKED


def _run(url: str, token: str, folder: Path, *, pipe: Connection) -> None:
    """One gateway, until the other end of its pipe is closed."""
    store = Store(folder)
    replica = _Watched(store)
    follower = Follower(replica, url, token)
    follower.start()
    while not replica.is_ready:
        time.sleep(0.05)
    pipe.send(os.getpid())
    while True:
        secret = pipe.recv()
        replica.watch(secret, pipe)
        pipe.send(None)


if __name__ == "__main__":
    main()
