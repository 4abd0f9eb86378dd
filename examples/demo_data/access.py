"""Tiers and what leads up to them: moves, requests with their decisions, grants, a suspension."""

from collections.abc import Callable
from typing import Any

import pyotp

from examples.demo_data.world import STAFF, Scene, World
from portal.accounts import second_factor
from portal.accounts.models import User
from portal.orgs.commands import StaffMessage, message_owners, suspend_org
from portal.tiers.grants import GrantRequest, grant
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.words import Identity
from portal.upgrades import commands as upgrades
from portal.upgrades.queries import get_request_as_admin
from portal.usage.alerts import Alerts, set_alerts

WEEKLY = {"model": "*", "metric": "output_tokens", "kind": "window", "period": 604_800}


def _move(org: str, tier: str, reason: str, *, in_days: float = 0) -> Callable[[World], None]:
    def play(world: World) -> None:
        at = world.from_today(in_days) if in_days else None
        decision = TierDecision(tier=tier, reason=reason, effective_at=at)
        with world.act() as session:
            actor = world.people["admin"]
            decide_tier(session, actor=actor, org=world.org(session, org), decision=decision)

    return play


def _ask(name: str, by: str, *, amount: int, purpose: str) -> Callable[[World], None]:
    """A request for Scale, by the owner of an organisation."""

    def play(world: World) -> None:
        asked = upgrades.Asked(
            tier="scale",
            purpose=purpose,
            contact=world.people[by].name,
            expected=({**WEEKLY, "amount": amount},),
            wanted_on=world.from_today(14).date(),
        )
        with world.act() as session:
            request = upgrades.submit_request(
                session,
                actor=world.people[by],
                org=world.org(session, name.partition(" ")[0]),
                asked=asked,
                url=world.settings.url,
            )
            world.requests[name] = request.id

    return play


def _decide(
    name: str, act: Callable[..., None], *, by: str = STAFF, **values: Any
) -> Callable[[World], None]:
    """A step of a request, on what stands there now."""

    def play(world: World) -> None:
        with world.act() as session:
            staff = world.people[STAFF]
            org, request = get_request_as_admin(
                session, staff, world.requests[name], for_update=True
            )
            on = {"actor": world.people[by], "org": org, "request": request}
            if act is not upgrades.take_up:
                on["url"] = world.settings.url
            act(session, **on, seen=request.steps, **values)

    return play


def _give_factor(who: str) -> Callable[[World], None]:
    """Somebody sets up an authenticator app, and types its first code."""

    def play(world: World) -> None:
        secret, actor = pyotp.random_base32(), world.people[who]
        with world.act() as session:
            second_factor.turn_on(
                session,
                actor=actor,
                user=session.get_one(User, actor.user_id, with_for_update=True),
                secret=secret,
                code=pyotp.TOTP(secret).at(world.clock()),
                key=world.settings.secret_key,
            )

    return play


def _grant(
    org: str, limit: Identity, quota: int, *, for_days: float, reason: str
) -> Callable[[World], None]:
    def play(world: World) -> None:
        end = world.from_today(for_days)
        request = GrantRequest(limit=limit, quota=quota, ends_at=end, reason=reason)
        with world.act() as session:
            actor = world.people["admin"]
            grant(session, actor=actor, org=world.org(session, org), request=request)

    return play


def _suspend(world: World) -> None:
    reason = "Calls with keys that were found in other people's code. We wrote to you twice."
    with world.act() as session:
        org = world.org(session, "barnacle")
        suspend_org(session, actor=world.people["admin"], org=org, reason=reason)


def _write(world: World) -> None:
    text = "Your keys are used from hundreds of addresses. Tell us what you run, within two days."
    message = StaffMessage(subject="About your keys", text=text, batch="demo")
    with world.act() as session:
        org = world.org(session, "barnacle")
        message_owners(session, actor=world.people["admin"], org=org, message=message)


def _want_warnings(world: World) -> None:
    with world.act() as session:
        org = world.org(session, "tidewater")
        alerts = Alerts(thresholds=(50, 80, 95))
        set_alerts(session, actor=world.people["mara"], org=org, alerts=alerts)


FABLE_OUTPUT = Identity("fable-5", "output_tokens", "bucket", 60)

SCENES = (
    Scene(62, _move("harbour", "build", "They came with a contract.")),
    Scene(61, _want_warnings),
    Scene(59.5, _give_factor("tomas")),
    Scene(57.8, _move("fathom", "scale", "A contract of 2026, signed on paper.")),
    Scene(
        32,
        _ask(
            "harbour",
            "tomas",
            amount=9_000_000,
            purpose="Letters to patients, written in the morning and read by a person before they go.",
        ),
    ),
    Scene(31.4, _decide("harbour", upgrades.take_up)),
    Scene(
        31.3,
        _decide("harbour", upgrades.ask_question, text="How many letters on your busiest day?"),
    ),
    Scene(
        30.6,
        _decide(
            "harbour",
            upgrades.answer,
            by="tomas",
            text="About 600, on the first Monday of a month.",
        ),
    ),
    Scene(
        29.9,
        _decide(
            "harbour",
            upgrades.approve,
            reason="Steady, by day, and with a person in between: this is what Scale is for.",
        ),
    ),
    Scene(
        24,
        _ask(
            "nightwatch first",
            "oskar",
            amount=30_000_000,
            purpose="We read everything that is published, day and night.",
        ),
    ),
    Scene(23.2, _decide("nightwatch first", upgrades.take_up)),
    Scene(
        22.1,
        _decide(
            "nightwatch first",
            upgrades.decline,
            reason="Scale asks for a second factor of every owner, and yours has none. And 30 million "
            "output tokens a week are twice what you used so far: show us in four weeks, or tell "
            "us what will change.",
        ),
    ),
    Scene(18.5, _give_factor("dana")),
    Scene(
        18,
        _grant(
            "tidewater",
            FABLE_OUTPUT,
            400_000,
            for_days=40,
            reason="The new charts of the northern coast are read in once.",
        ),
    ),
    Scene(
        25,
        _grant(
            "lanternfish",
            Identity("fable-5", "input_tokens", "bucket", 60),
            600_000,
            for_days=5,
            reason="Their film is due.",
        ),
    ),
    Scene(8.4, _write),
    Scene(6.1, _suspend),
    Scene(
        4.3,
        _ask(
            "kelp",
            "dana",
            amount=18_000_000,
            purpose="An assistant for divers. We grow by a tenth each day, and it does not look like ending.",
        ),
    ),
    Scene(3.9, _decide("kelp", upgrades.take_up)),
    Scene(
        3.2,
        _decide(
            "kelp",
            upgrades.ask_question,
            text="What happens to your use in winter, when nobody dives?",
        ),
    ),
    Scene(
        2.2,
        _ask("nightwatch", "oskar", amount=16_000_000, purpose="As before, with better figures."),
    ),
    Scene(
        1.5,
        _move(
            "brightwork",
            "start",
            "They asked for it themselves: less to pay.",
            in_days=45,
        ),
    ),
)
