import click
from flask.cli import AppGroup

from portal.core.db import snapshot
from portal.journal import chain
from portal.web.filters import plural
from portal.web.session import session

journal = AppGroup("journal", help="The record of who did what.")


@journal.command("check")
def check() -> None:
    """Walk every chain; exit 1 with the first row of each that is not as it was written."""
    with snapshot(session()):
        found = chain.check(session())
    for each in found.broken:
        row = f", {each.event_id}" if each.event_id else ""
        click.echo(f"{each.chain}, row {each.seq}{row}: {each.why}")
    if found.broken:
        raise SystemExit(1)
    rows, chains = plural(found.rows, "row"), plural(found.chains, "chain")
    click.echo(f"{rows} in {chains}: as they were written.")
