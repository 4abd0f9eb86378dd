"""A portal to measure: a data folder with a published catalogue, an organisation and keys, and its process."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal.accounts import commands as accounts
from portal.accounts.models import User
from portal.accounts.passwords import hash_password
from portal.blueprints import register_records
from portal.changelog.commands import publish_catalog
from portal.config import Settings
from portal.core import clock, migrations
from portal.core.actor import CLI, Actor
from portal.core.db import Sessions, make_engine, make_sessions, transaction
from portal.keys.commands import KeyRequest, issue_key
from portal.keys.models import ApiKey, Environment
from portal.orgs.models import Org
from portal.sync.commands import add_gateway
from portal.tiers.commands import found_org
from portal.transparency.signer import log_transaction

TOP = Path(__file__).resolve().parent.parent
SAMPLE = TOP / "examples/catalog/sample-2026.json"
EMAIL, PASSWORD = "bench@example.test", "correct horse battery"


@dataclass(frozen=True)
class World:
    """Where it lies, and what is needed to act in it."""

    settings: Settings
    sessions: Sessions
    org_id: str
    owner: Actor

    def issue(self, count: int) -> list[tuple[str, str]]:
        """(id, secret) of freshly issued keys."""
        made = []
        with self.sessions() as session, transaction(session):
            org = session.get_one(Org, self.org_id, with_for_update=True)
            for number in range(count):
                request = KeyRequest(name=f"{clock.now().isoformat()} {number}")
                issued = issue_key(
                    session, actor=self.owner, org=org, brand="plim", request=request
                )
                made.append((issued.key.id, issued.secret.text))
        return made

    def enrol(self, name: str) -> str:
        """A gateway's token."""
        with self.sessions() as session, transaction(session):
            return add_gateway(session, actor=CLI, name=name, brand="plim")


def key_row(key_id: str, *, org_id: str, owner: Actor) -> ApiKey:
    """A key as a row. Issued by the command, each would count those before it."""
    return ApiKey(
        id=key_id,
        org_id=org_id,
        name=key_id,
        name_folded=key_id,
        prefix="plim_live_",
        last_four="0000",
        digest=hashlib.sha256(key_id.encode()).hexdigest(),
        environment=Environment.LIVE,
        lineage=key_id,
        created_by=owner.user_id,
    )


def make(data: Path, *, threads: int, url: str | None = None) -> World:
    """A new world in `data`, on SQLite unless the address of another database is given."""
    data.mkdir(parents=True)
    settings = Settings(
        data=data,
        database_url=url or f"sqlite:///{data / 'portal.db'}",
        secret_key="bench",  # noqa: S106 -- of a portal that lives for seconds
        threads=threads,
    )
    migrations.upgrade(settings.database_url)
    register_records()
    sessions = make_sessions(make_engine(settings.database_url), strict=True)
    catalog = json.loads(SAMPLE.read_text())
    for tier in catalog["tiers"]:
        tier["keys_max"] = None
    with sessions() as session, log_transaction(session, sessions, settings=settings, actor=CLI):
        publish_catalog(session, actor=CLI, data=json.dumps(catalog))
    with sessions() as session, transaction(session):
        user: User = accounts.create_person(
            session, actor=CLI, email=EMAIL, password_hash=hash_password(PASSWORD)
        )
        user.email_confirmed_at = clock.now()
        owner = Actor(user_id=user.id, name=user.email)
        org = found_org(session, actor=owner, owner=user, name="Bench")
    return World(settings, sessions, org.id, owner)


@contextmanager
def serving(world: World) -> Iterator[str]:
    """The portal in a process of its own; gives its address."""
    arguments = [str(world.settings.data), str(world.settings.threads)]
    command = [sys.executable, "-m", "bench.portal", *arguments]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            child.communicate(timeout=10)  # the end of its input ends it
