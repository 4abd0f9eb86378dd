"""What people say to the provider, and what they get for an answer."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from examples.demo_data.world import STAFF, Scene, World
from portal.core.actor import Actor
from portal.feedback import commands, decisions, moderation, official
from portal.feedback.models import Category, Kind, Outcome, Post, Thread, Visibility
from portal.feedback.queries import get_thread
from portal.feedback.steps import token_of

Play = Callable[[World], None]


def _thread(world: World, session: Session, name: str, *, actor: Actor) -> Thread:
    """A thread by its short name; those that opened by themselves have the name of their change."""
    if name in world.threads:
        return get_thread(session, actor, world.threads[name], for_update=True)
    query = select(Thread.number).where(Thread.change == world.changes[name])
    number = session.scalars(query.order_by(Thread.number)).first()
    if number is None:
        raise RuntimeError(f"no thread has opened about {name}")
    world.threads[name] = number
    return get_thread(session, actor, number, for_update=True)


def _open(name: str, by: str, **values: Any) -> Play:
    def play(world: World) -> None:
        usual = {"kind": Kind.QUESTION, "category": Category.LIMITS}
        opening = commands.Opening(**(usual | values))
        with world.act() as session:
            thread = commands.open_thread(session, actor=world.people[by], opening=opening)
            session.flush()  # its number is given by the database
            world.threads[name] = thread.number

    return play


def _say(name: str, by: str, text: str) -> Play:
    def play(world: World) -> None:
        with world.act() as session:
            actor = world.people[by]
            thread = _thread(world, session, name, actor=actor)
            commands.reply(session, actor=actor, thread=thread, text=text)

    return play


def _vote(name: str, voters: Sequence[str]) -> Play:
    def play(world: World) -> None:
        for voter in voters:
            with world.act() as session:
                actor = world.people[voter]
                thread = _thread(world, session, name, actor=actor)
                commands.vote(session, actor=actor, thread=thread)

    return play


def _step(name: str, act: Callable[..., object], **values: Any) -> Play:
    """A step of the staff that needs nothing from the log."""

    def play(world: World) -> None:
        with world.act() as session:
            actor = world.people[STAFF]
            thread = _thread(world, session, name, actor=actor)
            seen = {"seen": token_of(thread)} if act in _SEEING else {}
            act(session, actor=actor, thread=thread, **seen, **values)

    return play


def _decide(name: str, asked: decisions.Asked, *, change: str | None = None) -> Play:
    def play(world: World) -> None:
        actor = world.people[STAFF]
        with world.logged(actor) as session:
            thread = _thread(world, session, name, actor=actor)
            number = None if change is None else world.changes[change]
            values = {**vars(asked), "change": number}
            decisions.decide(
                session,
                actor=actor,
                thread=thread,
                seen=token_of(thread),
                asked=decisions.Asked(**values),
            )

    return play


def _defer(name: str, reason: str, *, days: float) -> Play:
    def play(world: World) -> None:
        until = world.from_today(days).date()
        asked = decisions.Asked(outcome=Outcome.DEFERRED, reason=reason, until_on=until)
        _decide(name, asked)(world)

    return play


def _advertise(world: World) -> None:
    """An advert, which somebody reports and the staff hides; and a report that changes nothing."""
    vic, leo, staff = (world.people[each] for each in ("vic", "leo", STAFF))
    with world.act() as session:
        thread = _thread(world, session, "nights", actor=vic)
        advert = commands.reply(
            session, actor=vic, thread=thread, text="We resell calls without any limit. Write us!"
        )
        session.flush()  # the report names the post
        reason = "An advert, and against the terms."
        commands.report_post(session, actor=leo, thread=thread, post=advert, reason=reason)
    with world.act() as session:
        thread = _thread(world, session, "nights", actor=staff)
        post = session.get_one(Post, advert.id)
        moderation.hide_post(session, actor=staff, thread=thread, post=post, reason="An advert.")
        moderation.note(session, actor=staff, thread=thread, text="See what their keys do.")


def _report(world: World) -> None:
    """Something that waits for a moderator."""
    leo = world.people["leo"]
    with world.act() as session:
        thread = _thread(world, session, "next", actor=leo)
        query = select(Post).where(Post.thread_id == thread.id, Post.author_id.is_not(None))
        post = session.scalars(query.order_by(Post.position)).first()
        if post is not None:
            reason = "Rude about those who call at night."
            commands.report_post(session, actor=leo, thread=thread, post=post, reason=reason)


def _correct(world: World) -> None:
    """Amara edits what she wrote; the earlier text stays readable."""
    amara = world.people["amara"]
    with world.act() as session:
        thread = _thread(world, session, "headers", actor=amara)
        post = session.scalars(select(Post).where(Post.thread_id == thread.id)).first()
        if post is not None:
            text = HEADERS.replace("`t`", "`t` in `RateLimit`")
            commands.edit_post(session, actor=amara, thread=thread, post=post, text=text, seen="")


_SEEING = (decisions.acknowledge, decisions.start_review, decisions.deliver)

NIGHTS = """Our import runs at night, when nobody else does. Could the minute limits be wider then?

| hour (UTC) | calls refused in the last week |
| --- | --- |
| 02:00 | 31 |
| 10:00 | 12 |

We would move everything to the night for it."""
HEADERS = """What does `t` mean? Our client waits so long and is let in before it ends."""
SPEND = """Is the monthly spend limit counted by when a call began or by when it ended?"""
PRIVATE = """Our calls to Fable 5 have failed with 500 since this morning, about four in a thousand.
Is that you or us?"""
EXPORT = """Could the CSV of the usage page have the key's name beside its id?"""
FLAT = """Please one flat price instead of limits."""
AGENTS = """We build agents. A person's afternoon is one call, an agent's is four hundred, and the
week is over on Thursday. Is a second window for agents thinkable?"""

SCENES = (
    Scene(
        53,
        _open(
            "headers",
            "amara",
            title="What does t mean in RateLimit?",
            text=HEADERS,
            category=Category.GATEWAYS,
        ),
    ),
    Scene(52.9, _correct),
    Scene(
        52.4,
        _step(
            "headers",
            official.answer_officially,
            text="It is the time by which the window's quota would be there again, and promises no "
            "reset. `Retry-After` of a refusal is exact: wait that long and the call fits.",
        ),
    ),
    Scene(
        52.3,
        _decide(
            "headers",
            decisions.Asked(
                outcome=Outcome.ADOPTED,
                reason="You are right that this was written nowhere. It now stands in the docs.",
            ),
        ),
    ),
    Scene(50.5, _step("headers", decisions.deliver)),
    Scene(
        69,
        _decide(
            "windows",
            decisions.Asked(
                outcome=Outcome.NOT_ADOPTED,
                reason="Nobody has written in the first week. The windows come as announced.",
            ),
            change="windows",
        ),
    ),
    Scene(
        42,
        _say("fable", "oskar", "Our evening is your morning. Could it be by the hour of the day?"),
    ),
    Scene(41, _vote("fable", ("oskar", "nils", "mara"))),
    Scene(40, _step("fable", decisions.acknowledge)),
    Scene(
        34,
        _decide(
            "fable",
            decisions.Asked(
                outcome=Outcome.NOT_ADOPTED,
                reason="Limits by the hour would be fairer and hard to read: nobody could say what "
                "they may do without looking at a clock. The cut stays as announced; your day's "
                "total is not touched by it.",
                weighed="Limits by the hour of the day; a cut for large organisations only.",
            ),
            change="fable",
        ),
    ),
    Scene(32.5, _say("build", "mara", "This is our busiest hour exactly. What should we do?")),
    Scene(32, _say("build", "dana", "We grow into this in three weeks.")),
    Scene(31.8, _vote("build", ("mara", "dana", "priya", "leo", "petra", "amara"))),
    Scene(30.2, _step("build", decisions.start_review)),
    Scene(
        15.2,
        _decide(
            "build",
            decisions.Asked(
                outcome=Outcome.ADOPTED,
                reason="You asked us to look again, and we found machines that can be here in time. "
                "We withdraw the change; nothing becomes less.",
                weighed="A smaller cut, a later day, or none.",
            ),
            change="build",
        ),
    ),
    Scene(15, _step("build", decisions.deliver)),
    Scene(
        29,
        _open("nights", "priya", kind=Kind.REQUEST, title="Wider limits at night", text=NIGHTS),
    ),
    Scene(28, _vote("nights", ("oskar", "bela", "nils", "mara", "freya"))),
    Scene(27.5, _say("nights", "bela", "So would we: our report could wait until 03:00.")),
    Scene(27, _say("nights", "freya", "Night is a matter of where you live.")),
    Scene(26.4, _step("nights", decisions.acknowledge)),
    Scene(24.8, _advertise),
    Scene(20, _step("nights", decisions.start_review)),
    Scene(
        19.4,
        _defer("nights", "We measure for two months how much room the nights have.", days=60),
    ),
    Scene(
        17,
        _open("spend", "petra", title="When is spend counted?", text=SPEND),
    ),
    Scene(
        16.6,
        _say("spend", STAFF, "By when it ended: only then is it known what it cost."),
    ),
    Scene(
        16,
        _open(
            "errors",
            "mara",
            kind=Kind.PROBLEM,
            title="500 from Fable 5 since this morning",
            text=PRIVATE,
            category=Category.MODELS,
            visibility=Visibility.PRIVATE,
        ),
    ),
    Scene(15.9, _step("errors", decisions.acknowledge)),
    Scene(
        12.6,
        _step(
            "outage",
            official.answer_officially,
            text="The line was mended at night, and the cut ended by itself as announced. The site "
            "now has a second line; it had been planned for spring.",
        ),
    ),
    Scene(
        12.5,
        _decide(
            "outage",
            decisions.Asked(
                outcome=Outcome.PARTLY,
                reason="A second power line is in. That one line could take away a third of the "
                "machines was our mistake; the record of emergency cuts says so.",
            ),
            change="outage",
        ),
    ),
    Scene(
        14,
        _open(
            "flat",
            "vic",
            kind=Kind.REQUEST,
            title="A flat price",
            text=FLAT,
            category=Category.OTHER,
        ),
    ),
    Scene(
        11,
        _decide(
            "flat",
            decisions.Asked(
                outcome=Outcome.NOT_ADOPTED,
                reason="Somebody else would pay for it: those who call little. That is why there "
                "are limits, and why they are published.",
            ),
        ),
    ),
    Scene(
        9.6,
        _say("next", "oskar", "The week is full on Sunday as it is. Who decides what is too much?"),
    ),
    Scene(9.2, _say("next", "leo", "Our players come on Saturday and Sunday, at the week's end.")),
    Scene(9, _vote("next", ("oskar", "freya", "leo", "mara", "amara"))),
    Scene(8, _step("next", decisions.start_review)),
    Scene(
        7.9,
        _step(
            "next",
            official.answer_officially,
            text="We look at every organisation that would have met the new line in the last four "
            "weeks. There are few; each gets a mail from a person before the month is over.",
        ),
    ),
    Scene(7, _report),
    Scene(
        6.5,
        _open(
            "export",
            "bela",
            kind=Kind.REQUEST,
            title="The key's name in the CSV",
            text=EXPORT,
            category=Category.PORTAL,
        ),
    ),
    Scene(6.2, _vote("export", ("priya", "mika"))),
    Scene(
        1.8,
        _open("agents", "dana", title="A week is over on Thursday for agents", text=AGENTS),
    ),
    Scene(1.5, _vote("agents", ("oskar", "leo"))),
)
