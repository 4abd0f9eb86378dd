"""Keys as they come and go: issued, bound, capped, rotated, paused, revoked, ending; and tokens."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from examples.demo_data.world import HeldKey, Scene, World
from portal.accounts.models import User
from portal.keys import caps, commands, rotation
from portal.keys.models import Environment
from portal.keys.policy import Rules
from portal.orgs.models import Role
from portal.orgs.policy import Scope
from portal.tiers.words import Identity
from portal.tokens import commands as tokens

MINUTE = 60


class Issue(NamedTuple):
    """A key that somebody issues, by days before the end; `ends` is how many days it lives."""

    key: str
    by: str
    days_before: float
    name: str
    ends: float | None = None
    values: dict[str, Any] = {}


ISSUES = (
    Issue("tidewater/production", "priya", 65, "Production"),
    Issue("tidewater/import", "priya", 64, "Chart import", values={"models": ("fable-5",)}),
    Issue("tidewater/staging", "ruth", 61, "Staging", values={"environment": Environment.TEST}),
    Issue("tidewater/laptop", "ruth", 60.5, "Ruth's laptop"),
    Issue(
        "tidewater/office",
        "jonas",
        44,
        "Office tools",
        ends=100,
        values={"networks": ("198.51.100.0/24",)},
    ),
    Issue("tidewater/partner", "jonas", 24, "Partner trial", ends=30),
    Issue("nightwatch/crawler", "oskar", 66, "Crawler"),
    Issue("nightwatch/papers", "freya", 50, "Papers"),
    Issue("fathom/nightly", "bela", 58, "Nightly report"),
    Issue("harbour/records", "tomas", 60, "Records"),
    Issue("saltmarsh/dialogue", "leo", 57, "Dialogue"),
    Issue("saltmarsh/moderation", "leo", 56, "Chat moderation"),
    Issue("sextant/tutor", "amara", 54, "Tutor"),
    Issue("lanternfish/render", "nils", 51, "Render notes"),
    Issue("kelp/assistant", "dana", 48, "Assistant"),
    Issue("kelp/search", "mika", 30, "Search"),
    Issue("brightwork/shop", "petra", 46, "Shop"),
    Issue("mole/transcripts", "hugo", 44, "Transcripts", ends=60),
    Issue("quiet/first", "yuki", 60, "First key"),
    Issue("barnacle/swarm", "vic", 29.5, "Swarm"),
    Issue("gullwing/routes", "sofia", 5.8, "Routes"),
)


def _issue(world: World, issue: Issue) -> None:
    end = None if issue.ends is None else world.from_today(issue.ends)
    request = commands.KeyRequest(name=issue.name, expires_at=end, **issue.values)
    with world.act() as session:
        org = world.org(session, issue.key.partition("/")[0])
        actor, brand = world.people[issue.by], world.settings.brand
        made = commands.issue_key(session, actor=actor, org=org, brand=brand, request=request)
        world.keys[issue.key] = HeldKey(made.key.id, made.secret.text)


def _rotate(world: World, name: str, *, by: str, grace: timedelta) -> None:
    """Rotate; some callers keep the old secret until it ends."""
    with world.act() as session:
        org = world.org(session, name.partition("/")[0])
        made = rotation.rotate_key(
            session,
            actor=world.people[by],
            org=org,
            key=world.key(session, org, name),
            brand=world.settings.brand,
            rotation=rotation.Rotation(grace_seconds=int(grace.total_seconds())),
        )
        world.keys[f"{name} before"] = world.keys[name]
        world.keys[name] = HeldKey(made.key.id, made.secret.text)


def _on_key(name: str, by: str, act: Callable[..., None], **values: Any) -> Callable[[World], None]:
    def play(world: World) -> None:
        with world.act() as session:
            org = world.org(session, name.partition("/")[0])
            act(session, actor=world.people[by], key=world.key(session, org, name), **values)

    return play


def _cap(world: World) -> None:
    """What runs beside the product may not take everything that it needs."""
    with world.act() as session:
        org = world.org(session, "tidewater")
        caps.set_cap(
            session,
            actor=world.people["jonas"],
            org=org,
            key=world.key(session, org, "tidewater/office"),
            limit=Identity("opus-5", "requests", "bucket", MINUTE),
            quota=4,
        )


def _rule(world: World) -> None:
    with world.act() as session:
        org = world.org(session, "tidewater")
        rules = Rules(max_days=365, pause_leaked=True)
        commands.set_rules(session, actor=world.people["mara"], org=org, rules=rules)


def _give_tokens(world: World) -> None:
    """Two of Tidewater's own, one of its owner's."""
    brand, scopes = world.settings.brand, (Scope.KEYS_READ, Scope.KEYS_WRITE)
    deploy = tokens.TokenRequest(name="Deploy", scopes=scopes, expires_at=world.from_today(90))
    chart = tokens.TokenRequest(name="Usage charts", scopes=(Scope.USAGE_READ,))
    own = tokens.TokenRequest(name="Scripts", scopes=(Scope.KEYS_READ,))
    with world.act() as session:
        org = world.org(session, "tidewater")
        for request, role in ((deploy, Role.DEVELOPER), (chart, Role.VIEWER)):
            tokens.issue_org_token(
                session,
                actor=world.people["mara"],
                org=org,
                role=role,
                brand=brand,
                request=request,
            )
    with world.act() as session:
        actor = world.people["mara"]
        user = session.get_one(User, actor.user_id)
        tokens.issue_personal_token(session, actor=actor, user=user, brand=brand, request=own)


SCENES = (
    *(Scene(each.days_before, partial(_issue, issue=each)) for each in ISSUES),
    Scene(23.5, _cap),
    Scene(41, _rule),
    Scene(30, _give_tokens),
    Scene(
        21.1,
        _on_key(
            "tidewater/laptop",
            "mara",
            commands.revoke_key,
            reason="Ruth has left, and her laptop with her.",
        ),
    ),
    Scene(
        12.2,
        lambda world: _rotate(world, "tidewater/production", by="priya", grace=timedelta(days=7)),
    ),
    Scene(
        1.1,
        lambda world: _rotate(world, "saltmarsh/dialogue", by="leo", grace=timedelta(days=7)),
    ),
    Scene(
        7.4,
        _on_key("tidewater/staging", "priya", commands.pause_key),
    ),
)
