import signal
from collections.abc import Callable, Sequence

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from portal.core import migrations
from portal.core.jobs import Job, Worker, run_all
from portal.web.session import sessions, settings

db = AppGroup("db", help="The database's schema.")
jobs = AppGroup("jobs", help="Work that no visitor waits for.")


def install(
    app: Flask, *, jobs: Callable[[], Sequence[Job]], after_upgrade: Callable[[], None]
) -> None:
    """Hang on what the commands run: slices stand above `web`, so they are handed in."""
    app.extensions["portal.jobs"] = jobs
    app.extensions["portal.after_upgrade"] = after_upgrade


def jobs_of(app: Flask) -> Sequence[Job]:
    """All periodic work of the application."""
    make: Callable[[], Sequence[Job]] = app.extensions["portal.jobs"]
    return make()


def migrate(app: Flask) -> None:
    """Bring the database to the newest step, and do what that leaves to do."""
    migrations.upgrade(app.extensions["portal.settings"].database_url)
    app.extensions["portal.after_upgrade"]()


@db.command("upgrade")
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the database up to REVISION (default: the newest)."""
    if revision == "head":
        migrate(current_app)
    else:
        migrations.upgrade(settings().database_url, revision)


@db.command("downgrade")
@click.argument("revision", default="-1")
def downgrade(revision: str) -> None:
    """Take the database back to REVISION (default: one step)."""
    migrations.downgrade(settings().database_url, revision)


@db.command("revision")
@click.option("--message", "-m", required=True, help="What the step does, in a few words.")
def revision(message: str) -> None:
    """Write a migration from what the models have and the database has not."""
    migrations.write_revision(settings().database_url, message)


@jobs.command("run")
def run() -> None:
    """Do all due work once; exit 1 where a job failed."""
    done = run_all(jobs_of(current_app))
    for name, count in done.items():
        click.echo(f"{name}: {'failed, see the log' if count < 0 else count}")
    if any(count < 0 for count in done.values()):
        raise SystemExit(1)


@jobs.command("work")
def work() -> None:
    """Do due work for ever, until SIGTERM or Ctrl-C; any number of these may run."""
    worker = Worker(jobs_of(current_app), sessions())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.work()
