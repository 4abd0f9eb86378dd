import hashlib
from dataclasses import replace
from typing import Any

from plimsoll.contract import canonical
from plimsoll.contract.announcement import Announcement, ChangeClass, Row
from plimsoll.contract.catalog import parse_catalog
from plimsoll.contract.history import read
from plimsoll.contract.limits import Limit
from portal.transparency.queries import Timeline
from tests.support.worlds import SAMPLE

FIRST = 1_000_000


def first_change() -> Announcement:
    catalog = parse_catalog(canonical.read(SAMPLE.read_bytes()))
    body = catalog.announcement_body("chg_" + "0" * 26, FIRST, hashlib.sha256(b"").hexdigest())
    return Announcement.parse(body)


def next_change(before: Limit, after: Limit | None, *, at: int, number: int = 2) -> Announcement:
    """A later change, which gives one limit another value."""
    return replace(
        first_change(),
        change=number,
        id="chg_" + str(number) * 26,
        change_class=ChangeClass.LASTING,
        effective_at=at,
        models=(),
        tiers=(),
        offers=(),
        counting={"reserve": {}, "texts": {}},
        rows=(Row(before.cell, before, after),),
    )


def make_log(*changes: Announcement) -> Timeline:
    """What follows from a log that announces the sample catalogue at FIRST and then these changes.

    They need not be lawful: what pages and documents make of them is pure.
    """
    bodies = [first_change(), *changes]
    entries: list[dict[str, Any]] = [
        {"at": FIRST, "body": body.to_wire(), "kind": "change.announced", "seq": seq}
        for seq, body in enumerate(bodies)
    ]
    return Timeline(read(entries))
