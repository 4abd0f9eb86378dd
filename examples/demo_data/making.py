"""Makes the demo's data in an empty data folder, and never touches another."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import select

from app import SAMPLE, Plan
from examples.demo_data import people, story
from examples.demo_data.traffic import Traffic
from examples.demo_data.world import DAY, DemoClock, World
from portal.accounts.passwords import hash_password
from portal.changelog.commands import publish_catalog
from portal.config import secrets_folder
from portal.core import clock
from portal.core.actor import CLI
from portal.core.db import Sessions
from portal.core.errors import PortalError
from portal.factory import create_app
from portal.orgs.models import Org
from portal.web.cli import migrate

PASSWORD = "demo demo demo"  # noqa: S105 -- of people whom nobody can be, in development only


class NotHere(PortalError):
    """The demo may not be made here; the message says why and what to do."""


def marker(data: Path) -> Path:
    """The file that says that a folder holds a whole demo, and nothing else."""
    return data / "demo.json"


def keys_file(data: Path) -> Path:
    """The secrets of the demo's keys, as their callers hold them."""
    return secrets_folder(data) / "demo-keys.json"


def is_made(data: Path) -> bool:
    """Whether a folder holds a whole demo."""
    return marker(data).exists()


def make(plan: Plan, *, ends_at: int) -> dict[str, Any]:
    """Make the whole demo up to a Unix second; returns what it came to. Raises NotHere."""
    settings = plan.settings
    if not settings.is_development:
        raise NotHere(
            "The demo's passwords are known to everybody. It is made in development only."
        )
    app = create_app(settings)
    manual = DemoClock(ends_at - story.OPENED_DAYS * DAY)
    with clock.running(manual):
        migrate(app)
        _must_be_empty(app.extensions["portal.sessions"])
        world = World(app, settings, manual, ends_at, hash_password(PASSWORD))
        with world.logged(CLI) as session:
            publish_catalog(session, actor=CLI, data=SAMPLE.read_bytes())
        people.bring_staff(world)
        traffic = story.Story(world).tell()
    _keep_keys(world)
    made = _summary(world, traffic)
    marker(settings.data).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return made


def _must_be_empty(sessions: Sessions) -> None:
    with sessions() as session:
        if session.scalar(select(Org.id).limit(1)) is not None:
            raise NotHere(
                "This portal has organisations already, and the demo never touches data that is "
                "there. Give it a folder of its own: PORTAL_DATA=instance/demo"
            )


def _summary(world: World, traffic: Traffic) -> dict[str, Any]:
    sums: dict[str, dict[str, int]] = {}
    for (org, what), count in sorted(traffic.totals.items()):
        sums.setdefault(org, {})[what] = count
    return {"made_at": world.ends_at, "orgs": world.orgs, "called": sums}


def _keep_keys(world: World) -> None:
    path = keys_file(world.settings.data)
    path.touch(mode=0o600)
    secrets = {name: held.secret for name, held in world.keys.items()}
    path.write_text(json.dumps(secrets, indent=1), encoding="utf-8")
