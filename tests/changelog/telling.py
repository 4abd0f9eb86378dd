"""What tests of mails about changes share: who is on which tier, one pass of the jobs, what it queued."""

from dataclasses import dataclass

from sqlalchemy import select

from portal.accounts.models import User
from portal.changelog import jobs, subscriptions
from portal.config import Settings
from portal.core.actor import CLI
from portal.core.db import Sessions, transaction
from portal.core.jobs import run_all
from portal.core.outbox import Mail
from portal.orgs.models import Org
from portal.tiers.commands import assign_tier
from tests.support.cast import Cast


@dataclass(frozen=True)
class Telling:
    sessions: Sessions
    settings: Settings
    cast: Cast

    def move(self, org, tier):
        """Put an organisation on a tier."""
        with self.sessions() as session, transaction(session):
            row = session.get_one(Org, org.id)
            assign_tier(session, actor=CLI, org=row, tier=tier, reason="For the test.")

    def subscribe(self, person, *tiers):
        with self.sessions() as session, transaction(session):
            user = session.get_one(User, person.user_id)
            for tier in tiers:
                subscriptions.subscribe(session, actor=person.actor, user=user, tier=tier)

    def run(self):
        """One pass of the jobs that tell readers; nothing is handed over."""
        done = run_all(jobs.jobs(self.sessions, self.settings))
        assert min(done.values()) >= 0, done
        return sum(done.values())

    def check(self):
        """One pass of the job that counts what was handed over."""
        (done,) = run_all(jobs.late_jobs(self.sessions, self.settings)).values()
        assert done >= 0
        return done

    def mails(self, prefix="change:"):
        """The mails about changes, oldest first."""
        with self.sessions() as session:
            query = select(Mail).where(Mail.event.startswith(prefix)).order_by(Mail.id)
            return list(session.scalars(query))

    def new(self):
        """What the next pass queues, by address."""
        known = {mail.id for mail in self.mails("")}
        self.run()
        return {mail.to: mail for mail in self.mails("") if mail.id not in known}
