from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from plimsoll.contract.draft import RFC3339
from portal.changelog import commands, holds, policy
from portal.changelog.models import STAFF_HOLD
from portal.core.actor import CLI
from portal.core.errors import PortalError, Unavailable
from portal.transparency.signer import log_transaction
from portal.web.session import session, sessions, settings

catalog = AppGroup("catalog", help="The tier catalogue.")
changes = AppGroup("changes", help="Changes of the published limits.")
notice_policy = AppGroup("policy", help="The notice that is promised before limits get tighter.")

_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_number = click.argument("number", type=click.IntRange(min=1))
_reason = click.option("--reason", required=True, help="Why: it is public, and for ever.")
_name = click.option("--name", default=STAFF_HOLD, show_default=True, help="The hold's name.")


class Instant(click.ParamType[int]):
    """RFC 3339 with an offset and whole seconds, as Unix seconds (EXACT 1)."""

    name = "instant"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: RET503 -- fail raises
        if RFC3339.fullmatch(value):
            with suppress(ValueError, OverflowError):
                return int(datetime.fromisoformat(value.upper()).astimezone(UTC).timestamp())
        self.fail(f"{value!r} is no instant such as 2026-12-24T12:00:00Z.", param, ctx)


_effective_at = click.option("--effective-at", type=Instant(), help="When; without it, see above.")


@contextmanager
def _logged() -> Iterator[None]:
    """One act that appends to the log; a refusal is an exit with its reason."""
    try:
        with log_transaction(session(), sessions(), settings=settings(), actor=CLI):
            yield
    except PortalError as error:
        raise click.ClickException(_said(error)) from error


def _said(error: PortalError) -> str:
    """Who types commands may read of trouble what otherwise only the server's log says."""
    texts = [error.public, str(error)] if isinstance(error, Unavailable) else [error.public]
    return " ".join(dict.fromkeys(texts))


def _act(command: Callable[..., None], number: int, **values: Any) -> None:
    with _logged():
        command(session(), actor=CLI, number=number, **values)
    click.echo(f"Logged and signed: {settings().url}/changelog/{number}")


@catalog.command("publish")
@_file
def publish_catalog(file: Path) -> None:
    """Publish the catalogue in FILE as change 1, effective at once; print the change's number."""
    with _logged():
        change = commands.publish_catalog(session(), actor=CLI, data=file.read_bytes())
    click.echo(f"Change {change.number}: published, signed and in force at {settings().url}/limits")
    click.echo(change.number)


@changes.command("publish")
@_file
def publish(file: Path) -> None:
    """Publish the change in FILE, and print its number alone on the last line."""
    with _logged():
        draft = commands.read_draft(file.read_bytes())
        change = commands.publish_change(session(), actor=CLI, draft=draft)
    click.echo(f"Published and signed: {settings().url}/changelog/{change.number}")
    click.echo(change.number)


@changes.command("withdraw")
@_number
@_reason
def withdraw(number: int, reason: str) -> None:
    """Withdraw an announced change, or end an emergency cut now."""
    _act(commands.withdraw_change, number, reason=reason)


@changes.command("reschedule")
@_number
@_effective_at
@click.option("--expires-at", type=Instant(), help="When it ends; without it, it keeps its length.")
def reschedule(number: int, effective_at: int | None, expires_at: int | None) -> None:
    """Give an announced change another instant; without --effective-at, now."""
    times = {"effective_at": effective_at, "expires_at": expires_at}
    _act(commands.reschedule_change, number, **times)


@changes.command("hold")
@_number
@_reason
@_name
def hold(number: int, reason: str, name: str) -> None:
    """Hold an announced change until it is released."""
    _act(holds.hold_change, number, name=name, reason=reason)


@changes.command("release")
@_number
@_name
@_effective_at
def release(number: int, name: str, effective_at: int | None) -> None:
    """Release a held change; without --effective-at, as early as announced or as is lawful."""
    _act(holds.release_change, number, name=name, effective_at=effective_at)


@changes.command("amend")
@_number
@click.option("--title", required=True, help="The whole title.")
@click.option("--reason", required=True, help="The whole reason, in Markdown.")
def amend(number: int, title: str, reason: str) -> None:
    """Give a change other words; all versions stay readable."""
    _act(commands.amend_change, number, title=title, reason=reason)


@notice_policy.command("publish")
@_file
def publish_policy(file: Path) -> None:
    """Change the notice policy as FILE says: notice (what differs), reason, perhaps effective_at."""
    with _logged():
        asked = policy.read_policy(file.read_bytes())
        commands.change_policy(session(), actor=CLI, **asked)
    click.echo(f"Published and signed: {settings().url}/changelog/notice")
