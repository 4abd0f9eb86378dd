"""`python -m bench.fleet URL FOLDER`: gateways in one process, led by lines on standard input.

The first line holds a token for each; "ready" is answered once all have the state. Then each line is a key:
"watching" is answered once it is being asked about, and a list of instants once every gateway refuses it.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from plimsoll.enforcer import Enforcer
from plimsoll.replica import Replica
from plimsoll.store import Store
from plimsoll.sync import Follower

MODEL = "sonnet-5"
PAUSE_SECONDS = 0.005


def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    tokens = sys.stdin.readline().split()
    with ExitStack() as stack:
        enforcers = [
            stack.enter_context(_gateway(url, token, folder / str(number)))
            for number, token in enumerate(tokens)
        ]
        while not all(enforcer.replica.is_ready for enforcer in enforcers):
            time.sleep(0.05)
        print("ready", flush=True)
        for line in sys.stdin:
            _watch(enforcers, line.strip())


@contextmanager
def _gateway(url: str, token: str, folder: Path) -> Iterator[Enforcer]:
    store = Store(folder)
    replica = Replica(store)
    follower = Follower(replica, url, token)
    follower.start()
    try:
        yield Enforcer(replica)
    finally:
        follower.close()
        store.close()


def _watch(enforcers: list[Enforcer], secret: str) -> None:
    """Ask each as soon as it holds something new: asked all the time, they would have no time to follow."""
    waiting = {each: each.replica.head for each in enforcers if not _refuses(each, secret)}
    print("watching", flush=True)
    instants = []
    while waiting:
        time.sleep(PAUSE_SECONDS)
        for each in [each for each, head in waiting.items() if each.replica.head is not head]:
            waiting[each] = each.replica.head
            if _refuses(each, secret):
                instants.append(time.monotonic())
                del waiting[each]
    print(json.dumps(instants), flush=True)


def _refuses(enforcer: Enforcer, secret: str) -> bool:
    return bool(enforcer.check(secret, model=MODEL).code == "key_revoked")


if __name__ == "__main__":
    main()
