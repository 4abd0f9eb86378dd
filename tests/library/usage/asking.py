"""Requests at a gateway that reports, and the sending of what it counted."""

from typing import Any

from plimsoll.spool import Spool
from plimsoll.testing import FakeKey
from tests.library.rig import Rig

MINUTE_LIMIT = "build.m.requests.1m"
TOKEN_LIMIT = "build.m.output_tokens.1d"


def send(rig: Rig) -> None:
    """Save, and send until nothing waits; the follower's own thread does the same."""
    rig.enforcer.save()
    spool = rig.follower.sender.spool
    rig.wait(lambda: _is_sent(rig, spool), "everything is sent")


def _is_sent(rig: Rig, spool: Spool) -> bool:
    rig.follower.sender.send_once()
    return spool.next(int(rig.clock.now())) is None


def ask(rig: Rig, key: FakeKey, **fields: Any) -> str:
    """One request: 7 tokens in, 50 reserved, 20 produced."""
    decision = rig.enforcer.check(key.secret, **{"model": "m", "input_tokens": 7} | fields)
    if decision.id:
        rig.enforcer.settle(decision.id, output_tokens=20)
    return str(decision.code)
