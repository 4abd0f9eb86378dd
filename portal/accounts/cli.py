import click
from flask.cli import AppGroup

from portal.accounts import commands
from portal.accounts.errors import FactorIsOff
from portal.accounts.models import LinkPurpose
from portal.accounts.policy import normal_address
from portal.accounts.queries import find_user_by_email, get_user
from portal.accounts.second_factor import reset
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


@admin.command("reset-second-factor")
@click.argument("email")
def reset_second_factor(email: str) -> None:
    """Take the second factor off EMAIL, who has lost the device and the recovery codes.

    Be sure that it is them who ask: from then on the password alone signs in. Every browser is signed out.
    """
    with transaction(session()):
        user = find_user_by_email(session(), email.strip())
        if user is None:
            raise click.BadParameter("Nobody has this address.", param_hint="EMAIL")
        try:
            reset(session(), actor=CLI, user=get_user(session(), user.id))
        except FactorIsOff as error:
            raise click.ClickException(f"The second factor of {user.email} is off.") from error
    click.echo(f"The second factor of {user.email} is off. They have been told by mail.")


def make_admin(email: str) -> str:
    """An admin with this address, made or raised; returns the token of a link to set the password."""
    user = find_user_by_email(session(), email)
    if user is None:
        user = commands.create_person(session(), actor=CLI, email=email, password_hash=None)
    commands.make_admin(session(), actor=CLI, user=user)
    return commands.make_link(session(), user=user, purpose=LinkPurpose.SET_PASSWORD)
