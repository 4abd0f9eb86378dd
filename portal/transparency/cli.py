import click
from flask.cli import AppGroup

from portal.transparency import signer
from portal.transparency.diagnosis import diagnose
from portal.web.filters import plural
from portal.web.session import session, settings

log = AppGroup("log", help="The public log.")


@log.command("fingerprint")
def fingerprint() -> None:
    """Print the fingerprint of the log's key, for gateways and strangers to pin."""
    click.echo(signer.fingerprint(session(), settings()))


@log.command("check")
def check() -> None:
    """Compare database, key and secrets/log.state; exit 1 with what keeps the signer from signing."""
    plan = diagnose(session(), settings().data)
    if plan.trouble is not None:
        click.echo(f"{plan.trouble.kind.value}: {plan.text}")
        raise SystemExit(1)
    click.echo(f"{plural(plan.size, 'entry', 'entries')}: database, key and log.state agree.")
