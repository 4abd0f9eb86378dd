from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask.cli import AppGroup

from portal.core.errors import PortalError
from portal.operations import backup as backups
from portal.operations.drill import Drill
from portal.web.session import settings

backup = AppGroup("backup", help="Back up the portal, and prove that a backup restores.")
FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
LOG_STATE = click.option(
    "--log-state",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The newest copy of secrets/log.state: what was signed after the backup.",
)


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except PortalError as error:
        raise click.ClickException(error.public) from error


@backup.command("make")
@FOLDER
def make(folder: Path) -> None:
    """Write database and secrets into FOLDER, which must be empty; the portal goes on meanwhile."""
    with _said():
        backups.make(settings(), folder)
    click.echo(
        f"{folder} holds the database and the secrets. Whoever has it can act as the portal."
    )


@backup.command("restore")
@FOLDER
@LOG_STATE
def restore(folder: Path, log_state: Path | None) -> None:
    """Bring FOLDER back into an empty database and data folder; then `db upgrade` and `log check`."""
    with _said():
        kept = backups.restore(settings(), folder, log_state=log_state)
    for name in kept:
        click.echo(f"secrets/{name} was there and differs: it stays as it is.")
    click.echo(f"The backup of {backups.read_note(folder)['made_at']} is restored.")


@backup.command("drill")
@FOLDER
@LOG_STATE
@click.option(
    "--into",
    envvar="DRILL_DATABASE_URL",
    help="The address of an empty database, which is emptied again; needed for PostgreSQL."
    " DRILL_DATABASE_URL says the same unseen by others on the machine.",
)
def drill(folder: Path, log_state: Path | None, into: str | None) -> None:
    """Restore FOLDER beside the portal, start it, check it from outside, and throw it away."""
    with _said():
        if backups.read_note(folder)["database"] != "sqlite" and into is None:
            raise click.UsageError("Say --into with the address of an empty database.")
        here = folder.absolute()
        Drill(here, click.echo, into=into, log_state=log_state and log_state.absolute()).run()
