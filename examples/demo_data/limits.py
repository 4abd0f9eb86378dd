"""How the published limits changed: every change by the rule, with the notice that it asks for."""

from collections.abc import Callable
from typing import Any

from examples.demo_data.world import STAFF, Scene, World
from portal.accounts.models import User
from portal.changelog import holds
from portal.changelog.announcements import publish_announcement
from portal.changelog.commands import draft_of, publish_change, withdraw_change
from portal.changelog.drafts import start_draft
from portal.changelog.subscriptions import subscribe

MINUTE, FIVE_HOURS, WEEK = 60, 18_000, 604_800

FAIR_USE = """Some organisations call around the clock, and at busy hours everybody waits for them.
Minute limits cannot tell a busy hour from a busy week.

- **Start** gets a window of five hours for output tokens,
- **Build** gets one of a week.

Both are wide: of those who used us in the last month, 97 % would not have met them once."""
FABLE = """Fable 5 runs on the scarcest machines that we have. In the evenings it has been slow for
everybody, and calls that wait for half a minute help nobody.

We lower what a single organisation can take within a minute. What you can take in a day stays.

## What you can do

Spread long inputs over two minutes, or let what needs no Fable 5 go to Sonnet 5: its limits are
four times as wide."""
BUILD_CUT = """We planned for fewer machines in the spring than we now have on order."""
MORE_OUTPUT = """New machines are in. Answers may be longer at no notice at all."""
REGATTA = """Many of you show live races this week. Until Sunday evening there is room for it."""
OUTAGE = """A power line of the northern site is down. Until it is repaired there are fewer machines
for Fable 5 than you all use. This ends by itself within eight hours, and we will write here what
happened."""
NEXT = """Use of Build has doubled since autumn, and the machines for it come in spring only.

The weekly window becomes narrower, and so does what Fable 5 takes within a minute. If you are near
these lines, ask for **Scale**: it has no weekly window. Or tell us in the thread below what this
would do to you; we read all of it before the day."""
SCALE_MORE = """The second half of the new machines goes to Scale."""
HAIKU = """Haiku 4.5 has become twice as quick, so more of it fits into a minute."""
MOVED = """On Thursday from 04:00 to 05:00 UTC **harbour-2** moves to another building. The other gateway
takes its calls; limits are counted by each gateway for itself, as the status page says."""


def _row(tier: str, model: str, metric: str, *, quota: int, period: Any = MINUTE) -> dict[str, Any]:
    # All buckets of the sample are of a minute, and all windows longer.
    kind = "bucket" if period == MINUTE else "window"
    row = {"tier": tier, "model": model, "metric": metric, "kind": kind, "period": period}
    return {**row, "quota": quota}


def _publish(
    name: str, *, in_days: float = 0, for_days: float = 0, lasts_as: str = "lasting", **content: Any
) -> Callable[[World], None]:
    """Announce a change that takes effect so many days after it, and perhaps ends by itself."""

    def play(world: World) -> None:
        times: dict[str, Any] = {"class": lasts_as}
        if in_days:
            times["effective_at"] = int(world.from_today(in_days).timestamp())
        if for_days:
            start = times.get("effective_at", int(world.clock.now()))
            times["expires_at"] = start + int(for_days * 86_400)
        actor = world.people[STAFF]
        with world.logged(actor) as session:
            change = publish_change(session, actor=actor, draft=draft_of({**content, **times}))
            world.changes[name] = change.number

    return play


def _withdraw(name: str, reason: str) -> Callable[[World], None]:
    def play(world: World) -> None:
        actor, number = world.people[STAFF], world.changes[name]
        with world.logged(actor) as session:
            withdraw_change(session, actor=actor, number=number, reason=reason)

    return play


def _hold(name: str, reason: str) -> Callable[[World], None]:
    def play(world: World) -> None:
        actor, number = world.people[STAFF], world.changes[name]
        with world.logged(actor) as session:
            holds.hold_change(session, actor=actor, number=number, name="staff", reason=reason)

    return play


def _tell(world: World) -> None:
    actor = world.people[STAFF]
    with world.act() as session:
        publish_announcement(session, actor=actor, title="harbour-2 moves on Thursday", text=MOVED)


def _draft(world: World) -> None:
    """Somebody of the staff has begun to write the next one."""
    content = {
        "title": "Longer answers on Start",
        "reason": "Those who begin should see what there is.",
        "rows": [_row("start", "sonnet-5", "output_tokens", quota=500_000)],
    }
    with world.act() as session:
        start_draft(session, actor=world.people["admin"], content=content)


def _subscribe(world: World) -> None:
    for who, tier in (("priya", "build"), ("freya", None)):
        with world.act() as session:
            actor = world.people[who]
            user = session.get_one(User, actor.user_id, with_for_update=True)
            subscribe(session, actor=actor, user=user, tier=tier)


SCENES = (
    Scene(
        74.5,
        _publish(
            "windows",
            in_days=30.5,
            title="Fair use: windows of five hours and of a week",
            reason=FAIR_USE,
            rows=[
                _row("start", "*", "output_tokens", quota=400_000, period=FIVE_HOURS),
                _row("build", "*", "output_tokens", quota=12_800_000, period=WEEK),
            ],
        ),
    ),
    Scene(
        57,
        _publish(
            "haiku",
            title="More of Haiku 4.5",
            reason=HAIKU,
            rows=[
                _row("start", "haiku-4.5", "requests", quota=1500),
                _row("build", "haiku-4.5", "requests", quota=7500),
                _row("scale", "haiku-4.5", "requests", quota=15_000),
            ],
        ),
    ),
    Scene(50, _subscribe),
    Scene(
        43.5,
        _publish(
            "fable",
            in_days=34,
            title="Fable 5 takes less within a minute",
            reason=FABLE,
            rows=[
                _row("start", "fable-5", "input_tokens", quota=400_000),
                _row("build", "fable-5", "output_tokens", quota=240_000),
            ],
        ),
    ),
    Scene(
        33,
        _publish(
            "build",
            in_days=45,
            title="Fewer requests to Sonnet 5 on Build",
            reason=BUILD_CUT,
            rows=[_row("build", "sonnet-5", "requests", quota=3500)],
        ),
    ),
    Scene(
        21.6,
        _publish(
            "output",
            title="Longer answers of Opus 5 and Sonnet 5",
            reason=MORE_OUTPUT,
            rows=[
                _row(tier, model, "output_tokens", quota=quota)
                for tier, quota in (("build", 1_200_000), ("scale", 2_500_000))
                for model in ("opus-5", "sonnet-5")
            ],
        ),
    ),
    Scene(
        16,
        _publish(
            "regatta",
            for_days=6,
            title="Regatta week",
            reason=REGATTA,
            lasts_as="temporary_raise",
            rows=[_row("build", "haiku-4.5", "requests", quota=12_000)],
        ),
    ),
    Scene(15.1, _withdraw("build", "The machines come in time; decided in the thread.")),
    Scene(
        13.4,
        _publish(
            "outage",
            for_days=1 / 3,
            title="Fewer machines for Fable 5 tonight",
            reason=OUTAGE,
            lasts_as="emergency_cut",
            rows=[_row("scale", "fable-5", "requests", quota=2000)],
        ),
    ),
    Scene(
        10.2,
        _publish(
            "next",
            in_days=35,
            title="Build: a narrower week, and less of Fable 5",
            reason=NEXT,
            rows=[
                _row("build", "*", "output_tokens", quota=11_500_000, period=WEEK),
                _row("build", "fable-5", "requests", quota=1500),
                _row("build", "fable-5", "output_tokens", quota=200_000),
            ],
        ),
    ),
    Scene(
        9,
        _publish(
            "start",
            in_days=40,
            title="Start: fewer requests to Opus 5",
            reason="Few of those who begin use it, and those who do ask for more than we have.",
            rows=[_row("start", "opus-5", "requests", quota=800)],
        ),
    ),
    Scene(5.5, _hold("start", "We look at the figures again before it takes effect.")),
    Scene(5, _tell),
    Scene(
        4,
        _publish(
            "scale",
            in_days=10,
            title="Scale: more of Opus 5",
            reason=SCALE_MORE,
            rows=[_row("scale", "opus-5", "requests", quota=12_000)],
        ),
    ),
    Scene(0.6, _draft),
)
