import click
from flask.cli import AppGroup

from portal.accounts import commands
from portal.accounts.models import LinkPurpose
from portal.accounts.policy import normal_address
from portal.accounts.queries import find_user_by_email
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.errors import Invalid
from portal.web.session import session, settings

admin = AppGroup("admin", help="The provider's staff.")


@admin.command("create")
@click.argument("email")
def create(email: str) -> None:
    """Make EMAIL an admin; print a one-time link to set the password."""
    try:
        address = normal_address(email)
    except Invalid as error:
        raise click.BadParameter(error.public, param_hint="EMAIL") from error
    with transaction(session()):
        token = make_admin(address)
    click.echo(f"{settings().url}/set-password/{token}")


def make_admin(email: str) -> str:
    """An admin with this address, made or raised; returns the token of a link to set the password."""
    user = find_user_by_email(session(), email)
    if user is None:
        user = commands.create_person(session(), actor=CLI, email=email, password_hash=None)
    commands.make_admin(session(), actor=CLI, user=user)
    return commands.make_link(session(), user=user, purpose=LinkPurpose.SET_PASSWORD)
