from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from flask.cli import AppGroup
from sqlalchemy.orm import Session

from portal.core.actor import CLI
from portal.core.db import snapshot, transaction
from portal.core.errors import PortalError
from portal.sync import check as checking
from portal.sync import commands, queries
from portal.transparency.cli import log
from portal.transparency.mending import Mended, discard, recover
from portal.transparency.signer import fingerprint
from portal.web.filters import instant, plural
from portal.web.session import session, sessions, settings

gateways = AppGroup("gateways", help="Enrol and remove gateways.")
sync = AppGroup("sync", help="The state that gateways copy.")


@contextmanager
def _act() -> Iterator[None]:
    """One transaction; what the portal refuses is printed, and the exit code is 1."""
    try:
        with transaction(session()):
            yield
    except PortalError as error:
        raise click.ClickException(error.public) from error


@gateways.command("add")
@click.argument("name")
def add(name: str) -> None:
    """Enrol NAME; print the log key's fingerprint, then the token alone on the last line."""
    with _act():
        # Asked first: a key file that cannot be read must not cost the token, which is shown only now.
        pin = fingerprint(session(), settings())
        token = commands.add_gateway(session(), actor=CLI, name=name, brand=settings().brand)
    click.echo(f"log key fingerprint: {pin}")
    click.echo(token)


@gateways.command("list")
def list_gateways() -> None:
    """Show the enrolled gateways and how they are."""
    for row in queries.list_gateways(session()):
        seen = f"last heard {instant(row.seen_at)}" if row.seen_at else "never heard"
        click.echo(f"{row.name}  {row.state.value}  {seen}  {row.behind} revisions behind")


@gateways.command("rotate")
@click.argument("name")
def rotate(name: str) -> None:
    """Give NAME a new token, alone on the last line; the old one works for a day more."""
    with _act():
        token = commands.rotate_token(session(), actor=CLI, name=name, brand=settings().brand)
    click.echo(token)


@gateways.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Take NAME out; its tokens are refused from now on."""
    with _act():
        commands.remove_gateway(session(), actor=CLI, name=name)
    click.echo(f"{name} is removed.")


@sync.command("check")
def check() -> None:
    """Compare every record with the tables; exit 1 with the first ten that differ."""
    with snapshot(session()):
        found = checking.check(session())
    for kind, record_id in found.records:
        click.echo(f"{kind} {record_id} differs")
    for text in found.sums:
        click.echo(text)
    if not found.is_clean:
        raise SystemExit(1)
    click.echo(f"{found.checked} records agree with the tables.")


@sync.command("rebuild")
def rebuild() -> None:
    """Build every record anew and start a new epoch; gateways take a new snapshot."""
    with _act():
        count = commands.rebuild(session(), actor=CLI)
    click.echo(f"{count} records rebuilt in a new epoch.")


# The log's own commands, but each starts a new epoch, and epochs are made here.
@log.command("recover")
def recover_log() -> None:
    """After a backup was restored: append what the file has and the database lost."""
    done = _mend(recover, lambda session: commands.renew_after_recovery(session, actor=CLI))
    click.echo(
        f"{plural(len(done.entries), 'entry', 'entries')} appended again; {done.size} are signed."
    )
    click.echo(
        "The log holds what changes do, not why: reasons and their earlier versions that the backup"
        " lacks are lost. Whoever kept a text can compare it with reason_sha256 in its entry."
    )


@log.command("discard")
def discard_log() -> None:
    """Delete the entries that the signer refuses; whatever they were to publish is published anew."""
    done = _mend(discard, lambda session: commands.rebuild(session, actor=CLI))
    click.echo(
        f"{plural(len(done.entries), 'entry', 'entries')} discarded; {done.size} are signed."
    )


def _mend(act: Callable[..., Mended], renew: Callable[[Session], object]) -> Mended:
    try:
        return act(sessions(), settings(), actor=CLI, renew=renew)
    except PortalError as error:
        raise click.ClickException(error.public) from error
