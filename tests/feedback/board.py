"""What tests of decisions share: the jobs of the board, people who vote and write, and a staff that decides."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.core.actor import Actor
from portal.core.db import Base, Sessions, transaction
from portal.core.jobs import run_all
from portal.core.outbox import Mail
from portal.feedback import commands, decisions, jobs
from portal.feedback.models import Category, Decision, Kind, Outcome, Post, Thread
from portal.feedback.steps import token_of
from portal.orgs.models import Org
from portal.transparency.signer import log_transaction
from tests.support.cast import Cast, Person
from tests.support.factories import actor_of, make_org, make_user


@dataclass(frozen=True)
class Board:
    sessions: Sessions
    settings: Settings
    cast: Cast

    # ---- jobs ----

    def work(self) -> dict[str, int]:
        """One pass of the board's jobs, none of which may fail."""
        done = run_all(jobs.jobs(self.sessions, self.settings))
        assert min(done.values()) >= 0, done
        return done

    # ---- acts ----

    def open(self, person: Person | None = None, **fields: Any) -> int:
        """A thread of somebody, Ada unless told; its number."""
        given = {
            "kind": Kind.REQUEST,
            "title": "More requests",
            "text": "We need more.",
            "category": Category.LIMITS,
        }
        opening = commands.Opening(**{**given, **fields})
        actor = (person or self.cast.ada).actor
        with self.sessions() as session, transaction(session):
            return commands.open_thread(session, actor=actor, opening=opening).number

    def reply(self, number: int, person: Person, text: str = "So do we.") -> None:
        with self.changing(number) as (session, thread):
            commands.reply(session, actor=person.actor, thread=thread, text=text)

    def vote(self, number: int, *people: Person) -> None:
        for person in people:
            with self.changing(number) as (session, thread):
                commands.vote(session, actor=person.actor, thread=thread)

    def follow(self, number: int, person: Person) -> None:
        with self.changing(number) as (session, thread):
            commands.follow(session, actor=person.actor, thread=thread)

    def crowd(self, number: int, size: int) -> list[Org]:
        """So many organisations whose owners vote."""
        with self.changing(number) as (session, thread):
            orgs = []
            for _ in range(size):
                user = make_user(session)
                orgs.append(make_org(session, owner=user))
                commands.vote(session, actor=actor_of(user), thread=thread)
            return orgs

    def decide(
        self,
        number: int,
        *,
        actor: Actor | None = None,
        asked: decisions.Asked | None = None,
        **fields: Any,
    ) -> str:
        """Decide a thread, adopted partly unless told; the id of the decision."""
        given = {"outcome": Outcome.PARTLY, "reason": "Half of it is possible."}
        asked = asked or decisions.Asked(**{**given, **fields})
        actor = actor or self.cast.root.actor
        with self.logging() as session:
            thread = find(session, number, for_update=True)
            seen = token_of(thread)
            made = decisions.decide(session, actor=actor, thread=thread, seen=seen, asked=asked)
            return made.id

    def step(self, number: int, act: Callable[..., None], *, by: Person | None = None) -> None:
        actor = (by or self.cast.root).actor
        with self.changing(number) as (session, thread):
            act(session, actor=actor, thread=thread, seen=token_of(thread))

    @contextmanager
    def changing(self, number: int) -> Iterator[tuple[Session, Thread]]:
        with self.sessions() as session, transaction(session):
            yield session, find(session, number, for_update=True)

    @contextmanager
    def logging(self) -> Iterator[Session]:
        with (
            self.sessions() as session,
            log_transaction(
                session, self.sessions, settings=self.settings, actor=self.cast.root.actor
            ),
        ):
            yield session

    # ---- looking ----

    def thread(self, number: int) -> Thread:
        with self.sessions() as session:
            return find(session, number)

    def posts(self, number: int) -> list[Post]:
        with self.sessions() as session:
            thread = find(session, number)
            query = select(Post).where(Post.thread_id == thread.id).order_by(Post.position)
            return list(session.scalars(query))

    def rows(self, model: type[Base]) -> list[Any]:
        with self.sessions() as session:
            return list(session.scalars(select(model)))

    def decision(self, decision_id: str) -> Decision:
        with self.sessions() as session:
            return session.get_one(Decision, decision_id)

    def mails(self, prefix: str) -> list[Mail]:
        """The mails of an event, by address."""
        with self.sessions() as session:
            query = select(Mail).where(Mail.event.startswith(prefix)).order_by(Mail.to)
            return list(session.scalars(query))


def find(session: Session, number: int, *, for_update: bool = False) -> Thread:
    return session.get_one(Thread, number, with_for_update=for_update)
