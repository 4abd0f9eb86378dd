import click
from flask.cli import AppGroup

from portal.transparency import signer
from portal.web.session import session, settings

log = AppGroup("log", help="The public log.")


@log.command("fingerprint")
def fingerprint() -> None:
    """Print the fingerprint of the log's key, for gateways and strangers to pin."""
    click.echo(signer.fingerprint(session(), settings()))
