from pathlib import Path

import click
from flask.cli import AppGroup

from portal.changelog import commands
from portal.core.actor import CLI
from portal.core.errors import PortalError
from portal.transparency.signer import log_transaction
from portal.web.session import session, sessions, settings

catalog = AppGroup("catalog", help="The tier catalogue.")


@catalog.command("publish")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def publish(file: Path) -> None:
    """Publish the catalogue in FILE as change 1, effective at once; print the change's number."""
    try:
        with log_transaction(session(), sessions(), settings=settings(), actor=CLI):
            change = commands.publish_catalog(session(), actor=CLI, data=file.read_bytes())
    except PortalError as error:
        # Who types commands may read what otherwise only the server's log says.
        texts = dict.fromkeys([error.public, str(error)])
        raise click.ClickException(" ".join(texts)) from error
    click.echo(f"Change {change.number}: published, signed and in force at {settings().url}/limits")
    click.echo(change.number)
