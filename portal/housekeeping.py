"""What runs without a visitor: the jobs of all slices, and what an upgrade leaves to do."""

from flask import Flask

from portal.accounts import jobs as accounts
from portal.changelog import jobs as changelog
from portal.config import Settings
from portal.core import outbox
from portal.core.actor import JOB
from portal.core.db import Sessions, transaction
from portal.core.jobs import Job
from portal.core.outbox import FolderTransport, SmtpTransport, Transport
from portal.feedback import jobs as feedback
from portal.journal import erasing as journal
from portal.keys import notices as keys
from portal.operations import jobs as operations
from portal.sync.commands import rebuild_if_outdated
from portal.tiers import jobs as tiers
from portal.transparency import jobs as transparency
from portal.upgrades import jobs as upgrades
from portal.usage import jobs as usage
from portal.usage import warning
from portal.web import cli, throttle


def install(app: Flask, *, settings: Settings, sessions: Sessions) -> None:
    """Hand jobs and the upgrade's last step to the commands `jobs` and `db`."""
    cli.install(
        app,
        jobs=lambda: all_jobs(sessions, settings),
        after_upgrade=lambda: after_upgrade(sessions),
    )


def all_jobs(sessions: Sessions, settings: Settings) -> list[Job]:
    """Every job, in the order of one pass: first what people wait for, last who looks how it went."""
    work = [operations.noted(job, sessions) for job in _working(sessions, settings)]
    return [*work, *operations.jobs(sessions, url=settings.url)]


def _working(sessions: Sessions, settings: Settings) -> list[Job]:
    return [
        *accounts.jobs(sessions, settings),
        *transparency.jobs(sessions, settings),
        # Before the mails: a thread is there within a second, however many readers are told.
        *feedback.jobs(sessions, settings),
        *changelog.jobs(sessions, settings),
        *tiers.jobs(sessions),
        *upgrades.jobs(sessions),
        *usage.jobs(sessions),
        *warning.jobs(sessions, url=settings.url),
        *keys.jobs(sessions, url=settings.url),
        _mail(sessions, settings),
        *changelog.late_jobs(sessions, settings),
        *journal.jobs(sessions),
        Job("throttles", lambda: _forget_throttles(sessions)),
    ]


def _mail(sessions: Sessions, settings: Settings) -> Job:
    transport = mail_transport(settings)

    def send() -> int:
        return outbox.send_due(sessions, transport, sender=settings.mail_from)

    return Job("mail", send, is_slow=True)


def mail_transport(settings: Settings) -> Transport:
    """SMTP where an address is set; else files in the data folder."""
    if settings.smtp_url:
        return SmtpTransport(settings.smtp_url)
    return FolderTransport(settings.data / "mail")


def after_upgrade(sessions: Sessions) -> None:
    """Build the records anew where the wire has a new version (SYNC 1)."""
    with sessions() as session, transaction(session):
        rebuild_if_outdated(session, actor=JOB)


def _forget_throttles(sessions: Sessions) -> int:
    with sessions() as session:
        # A pass that finds nothing must not write, or it would wake the next.
        if not throttle.has_past(session):
            return 0
        with transaction(session):
            return throttle.forget_past(session)
