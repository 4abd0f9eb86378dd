"""A small portal's life, the same each time: every kind of entry, and a key and organisation in each state.

Nothing in it is left to chance: the clock stands where it is put, ids count, secrets and the log's key
follow from their numbers. What it puts on the wire can then be kept and compared byte by byte.
"""

import base64
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.config import Settings, secrets_folder
from portal.core.actor import CLI, Actor
from portal.core.anatomy import new_secret
from portal.core.db import Sessions, transaction
from portal.core.seal import SyncHead
from portal.feedback import commands as board
from portal.feedback import decisions
from portal.feedback.models import Category, Kind, Outcome, Thread
from portal.feedback.steps import token_of
from portal.keys.caps import set_cap
from portal.keys.commands import IssuedKey, pause_key, revoke_key
from portal.keys.models import ApiKey, Environment
from portal.keys.rotation import Rotation, rotate_key
from portal.orgs.commands import lift_suspension, suspend_org
from portal.orgs.models import Org
from portal.orgs.queries import owners
from portal.tiers.words import Identity
from portal.transparency.signer import log_transaction
from tests.support.change_files import in_days, write
from tests.support.clocks import ManualClock
from tests.support.factories import actor_of, make_grant, make_key, make_org, make_user

EPOCH = "0123456789abcdef" * 2

_TIER = {"description": "A tier.", "requirements": {}, "keys_max": None}
_CELL = {"tier": "build", "model": "m", "metric": "requests", "kind": "bucket", "period": 60}

# Every metric and every kind of limit.
CATALOG: dict[str, Any] = {
    "format": 1,
    "provider": "Golden",
    "title": "Our limits \N{EN DASH} the first",
    "reason": "To be kept.",
    "models": [{"slug": "m", "name": "M"}, {"slug": "n", "name": "N"}],
    "tiers": [
        {**_TIER, "slug": "build", "name": "Build", "rank": 1, "entry": "automatic"},
        {**_TIER, "slug": "scale", "name": "Scale", "rank": 2, "entry": "request"},
    ],
    "offers": [{"tier": tier, "model": model} for tier in ("build", "scale") for model in "mn"],
    "counting": {"reserve": {"build": {"output_tokens": 50}}, "texts": {"requests": "Each one."}},
    "rows": [
        {**_CELL, "quota": 5},
        {**_CELL, "kind": "window", "period": 86_400, "quota": 100},
        {**_CELL, "metric": "input_tokens", "quota": 1000, "burst": 400},
        {**_CELL, "metric": "output_tokens", "quota": 500},
        {**_CELL, "metric": "total_tokens", "model": "*", "quota": 5000},
        {
            **_CELL,
            "metric": "concurrent_requests",
            "kind": "concurrency",
            "period": None,
            "quota": 3,
        },
        {
            **_CELL,
            "metric": "spend_microusd",
            "model": "*",
            "kind": "window",
            "period": "month",
            "quota": 9000,
        },
        {**_CELL, "model": "n", "quota": 2},
        {**_CELL, "tier": "scale", "quota": 50},
    ],
}


def tightening(quota: int, **fields: Any) -> dict[str, Any]:
    row = {**_CELL, "quota": quota}
    return {"title": "Fewer requests", "reason": "Room for all.", "rows": [row], **fields}


# What is asked of the command line, in this order; a dict becomes a file.
ACTS: tuple[tuple[Any, ...], ...] = (
    ("changes", "publish", tightening(3, effective_at=in_days(35))),
    ("changes", "publish", tightening(4, effective_at=in_days(40))),
    ("changes", "hold", "3", "--reason", "Wait."),
    ("changes", "release", "3"),
    ("changes", "reschedule", "3", "--effective-at", in_days(50)),
    ("changes", "withdraw", "3", "--reason", "We found room."),
    ("changes", "amend", "2", "--title", "Fewer requests to M", "--reason", "Said better."),
    ("policy", "publish", {"notice": {"tightening_seconds": 32 * 86_400}, "reason": "We learnt."}),
    (
        *("changes", "publish"),
        {
            "title": "More for a week",
            "reason": "A fair.",
            "rows": [{**_CELL, "model": "n", "quota": 4}],
            "class": "temporary_raise",
            "effective_at": in_days(1),
            "expires_at": in_days(8),
        },
    ),
    (
        *("changes", "publish"),
        {
            "title": "A third model",
            "reason": "It is there now.",
            "models": [{"slug": "o", "name": "O"}],
            "offers": [{"tier": "scale", "model": "o"}],
        },
    ),
)


@contextmanager
def without_chance() -> Iterator[None]:
    """Ids count by their prefix, and secrets follow from the number of characters drawn before."""
    numbers: Counter[str] = Counter()
    drawn = itertools.count()

    def text(prefix: str, _: int) -> str:
        numbers[prefix] += 1
        return f"{prefix}_{numbers[prefix]:026d}"

    def choose(alphabet: str) -> str:
        digest = hashlib.sha256(b"%d" % next(drawn)).digest()
        return alphabet[int.from_bytes(digest) % len(alphabet)]

    with (
        mock.patch("portal.core.ids._text", text),
        mock.patch("portal.core.anatomy.choose", choose),
    ):
        yield


class World:
    """The portal on an empty, migrated database. `secrets` are the keys by a name of ours."""

    def __init__(self, app: Flask, sessions: Sessions, settings: Settings, clock: ManualClock):
        self.app, self.sessions, self.settings, self.clock = app, sessions, settings, clock
        self.secrets: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def begin(self) -> None:
        """All that a snapshot shows."""
        seed = secrets_folder(self.settings.data) / "log.key"
        seed.write_text(base64.b64encode(hashlib.sha256(b"golden").digest()).decode(), "ascii")
        with self.sessions() as session, transaction(session):
            session.execute(update(SyncHead).values(epoch=EPOCH))
        self.run("catalog", "publish", CATALOG)
        with self.sessions() as session, transaction(session):
            orgs = [self._org(session, name) for name in ("Acme", "Delta", "Echo", "Golf")]
            make_grant(
                session, org=orgs[1], limit=Identity("m", "requests", "bucket", 60), quota=20
            )
            for org in orgs[2:]:
                suspend_org(session, actor=CLI, org=org, reason="To test.")
            self._issue_all(session, *orgs)
        self._change_keys()
        for act in ACTS:
            self.clock.advance(minutes=1)
            self.run(*act)
        self._decide()
        # Past the end of what expires, and short of every change that is announced.
        self.clock.advance(hours=2)

    def go_on(self) -> None:
        """All that a stream then tells."""
        self.change_key(
            "later",
            lambda session, key, actor: revoke_key(session, actor=actor, key=key, reason="Later."),
        )
        with self.sessions() as session, transaction(session):
            org = session.get_one(Org, f"org_{3:026d}")
            lift_suspension(session, actor=CLI, org=org, reason="All is well.")
            self._issue(session, session.get_one(Org, f"org_{1:026d}"), "fresh")
        self.run("changes", "amend", "2", "--title", "Fewer requests", "--reason", "As before.")

    def run(self, *args: Any) -> None:
        """A command, which must succeed."""
        texts = [
            write(self.settings.data / "asked.json", each) if isinstance(each, dict) else each
            for each in args
        ]
        done = self.app.test_cli_runner().invoke(args=texts)
        assert done.exit_code == 0, (args, done.output)

    def change_key(self, name: str, act: Callable[[Session, ApiKey, Actor], object]) -> None:
        with self.sessions() as session, transaction(session):
            key = session.get_one(ApiKey, self._keys[name], with_for_update=True)
            act(session, key, actor_of(owners(session, key.org_id)[0]))

    # ---- its parts ----

    def _org(self, session: Session, name: str) -> Org:
        owner = make_user(session, email=f"{name.lower()}@example.com")
        return make_org(session, name=name, owner=owner)

    def _issue(self, session: Session, org: Org, name: str, **values: Any) -> IssuedKey:
        issued = make_key(session, org=org, name=name, **values)
        session.flush()  # its id is noted
        self._keys[name], self.secrets[name] = issued.key.id, issued.secret.text
        return issued

    def _issue_all(self, session: Session, *orgs: Org) -> None:
        now, (acme, delta, echo, golf) = self.clock.at, orgs
        for name in ("active", "paused", "revoked", "rotated", "capped", "later"):
            self._issue(session, acme, name)
        self._issue(session, acme, "test", environment=Environment.TEST)
        self._issue(session, acme, "expired", expires_at=now + timedelta(hours=1))
        self._issue(session, acme, "ending", expires_at=now + timedelta(days=60))
        self._issue(
            session, acme, "bound", models=("m",), networks=("192.0.2.0/24", "2001:db8::/32")
        )
        self._issue(session, delta, "granted")
        self._issue(session, echo, "lifted")
        self._issue(session, golf, "suspended")
        self.secrets["stranger"] = new_secret("plim_live_").text

    def _change_keys(self) -> None:
        def rotate(session: Session, key: ApiKey, actor: Actor) -> None:
            org = session.get_one(Org, key.org_id)
            rotation = Rotation(grace_seconds=86_400)
            issued = rotate_key(
                session, actor=actor, org=org, key=key, brand="plim", rotation=rotation
            )
            self.secrets["successor"] = issued.secret.text

        def cap(session: Session, key: ApiKey, actor: Actor) -> None:
            org, limit = session.get_one(Org, key.org_id), Identity("m", "requests", "bucket", 60)
            set_cap(session, actor=actor, org=org, key=key, limit=limit, quota=1)

        self.change_key(
            "paused", lambda session, key, actor: pause_key(session, actor=actor, key=key)
        )
        self.change_key(
            "revoked",
            lambda session, key, actor: revoke_key(
                session, actor=actor, key=key, reason="To test."
            ),
        )
        self.change_key("rotated", rotate)
        self.change_key("capped", cap)

    def _decide(self) -> None:
        with self.sessions() as session, transaction(session):
            staff = actor_of(make_user(session, email="root@example.com", admin=True))
            asked = {"kind": Kind.REQUEST, "title": "More", "text": "We need more."}
            opening = board.Opening(**asked, category=Category.LIMITS)
            number = board.open_thread(session, actor=staff, opening=opening).number
        with (
            self.sessions() as session,
            log_transaction(session, self.sessions, settings=self.settings, actor=staff),
        ):
            thread = session.get_one(Thread, number, with_for_update=True)
            given = decisions.Asked(outcome=Outcome.PARTLY, reason="Half of it.")
            decisions.decide(
                session, actor=staff, thread=thread, seen=token_of(thread), asked=given
            )


def dumps(value: object) -> bytes:
    """JSON as people read it in a diff."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def folder_of(release: str) -> Path:
    return Path(__file__).parent / "golden" / release
