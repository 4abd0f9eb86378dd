"""Every door of the portal, in the order of who may pass."""

from flask import Flask

from portal.accounts import cli as accounts_cli
from portal.accounts import views as accounts
from portal.admin import views as admin
from portal.changelog import cli as changelog_cli
from portal.changelog import views as changelog
from portal.config import Settings
from portal.console import dev, docs
from portal.console import views as console
from portal.core.jobs import Job
from portal.core.outbox import FolderTransport, SmtpTransport, Transport, send_due
from portal.keys import views as keys
from portal.sync import cli as sync_cli
from portal.sync import views as sync
from portal.transparency import cli as transparency_cli
from portal.transparency import signer
from portal.transparency import views as transparency
from portal.web import cli as web_cli
from portal.web.session import sessions


def install(app: Flask, settings: Settings) -> None:
    """Register all routes and commands."""
    # Everyone.
    app.register_blueprint(transparency.bp)
    app.register_blueprint(changelog.bp)
    app.register_blueprint(docs.bp)
    app.register_blueprint(accounts.bp)
    # From here a person.
    app.register_blueprint(console.bp)
    app.register_blueprint(keys.bp)
    # From here the provider's staff.
    app.register_blueprint(admin.bp)
    # Machines with a token of their own.
    app.register_blueprint(sync.bp)
    if settings.is_development:
        app.register_blueprint(dev.bp)
    for group in (
        accounts_cli.admin,
        changelog_cli.catalog,
        sync_cli.gateways,
        sync_cli.sync,
        transparency_cli.log,
        web_cli.db,
        web_cli.jobs,
    ):
        app.cli.add_command(group)
