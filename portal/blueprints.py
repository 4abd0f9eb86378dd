"""Every door of the portal, in the order of who may pass."""

from flask import Flask

from portal.accounts import address_views as address
from portal.accounts import cli as accounts_cli
from portal.accounts import factor_views as second_factor
from portal.accounts import reset_views as resets
from portal.accounts import session_views as own_sessions
from portal.accounts import views as accounts
from portal.admin import alerts, bulk, change_acts, change_news, changes
from portal.admin import feedback as admin_feedback
from portal.admin import gateways as admin_gateways
from portal.admin import grants as admin_grants
from portal.admin import keys as admin_keys
from portal.admin import log as admin_log
from portal.admin import moderation as admin_moderation
from portal.admin import requests as admin_requests
from portal.admin import tiers as admin_tiers
from portal.admin import views as admin
from portal.changelog import cli as changelog_cli
from portal.changelog import documents
from portal.changelog import subscription_views as subscriptions
from portal.changelog import views as changelog
from portal.config import Settings
from portal.console import (
    change_page,
    dev,
    docs,
    health,
    journal,
    key_page,
    leaving,
    limits,
    membership,
    own_data,
    portal_api,
    usage,
)
from portal.console import orgs as own_orgs
from portal.console import views as console
from portal.core.db import Sessions
from portal.core.seal import register_builder
from portal.feedback import feed_views as feedback_feeds
from portal.feedback import post_views as posts
from portal.feedback import record_views as feedback_records
from portal.feedback import views as feedback
from portal.feedback import vote_views as votes
from portal.journal import cli as journal_cli
from portal.keys import act_views as key_acts
from portal.keys import api as keys_api
from portal.keys import cap_views as key_caps
from portal.keys import leak_api as leaks
from portal.keys import rule_views as key_rules
from portal.keys import views as keys
from portal.keys.queries import build_key_records
from portal.operations import cli as operations_cli
from portal.operations import views as operations
from portal.orgs import invitation_views as invitations
from portal.orgs import join_views as join
from portal.orgs import views as orgs
from portal.sync import cli as sync_cli
from portal.sync import views as sync
from portal.sync.fan import Fan
from portal.tiers.queries import build_org_records
from portal.tokens import api as tokens_api
from portal.tokens import org_views as org_tokens
from portal.tokens import views as tokens
from portal.transparency import cli as transparency_cli
from portal.transparency import views as transparency
from portal.transparency.records import build_checkpoint_records, build_entry_records
from portal.upgrades import views as upgrades
from portal.usage import api as usage_api
from portal.usage import views as usage_warnings
from portal.web import cli as web_cli

# Who may pass, step by step: everyone (scanners sign what they report, programs show a token) …
EVERYONE = (
    transparency,
    changelog,
    change_page,
    documents,
    subscriptions,
    limits,
    docs,
    portal_api,
    health,
    feedback,
    posts,
    feedback_feeds,
    feedback_records,
    accounts,
    resets,
    join,
    leaks,
    usage_api,
    tokens_api,
    keys_api,
)
# … from here a person …
SIGNED_IN = (
    second_factor,
    address,
    own_sessions,
    journal,
    leaving,
    own_data,
    tokens,
    console,
    own_orgs,
    orgs,
    invitations,
    membership,
    key_page,
    keys,
    key_acts,
    key_caps,
    key_rules,
    usage,
    usage_warnings,
    org_tokens,
    upgrades,
    votes,
)
# … from here the provider's staff.
STAFF = (
    admin,
    admin_tiers,
    admin_grants,
    admin_requests,
    bulk,
    admin_keys,
    admin_gateways,
    changes,
    change_acts,
    change_news,
    admin_feedback,
    admin_moderation,
    admin_log,
    alerts,
)
COMMANDS = (
    accounts_cli.admin,
    changelog_cli.catalog,
    changelog_cli.changes,
    changelog_cli.notice_policy,
    journal_cli.journal,
    operations_cli.backup,
    sync_cli.gateways,
    sync_cli.sync,
    transparency_cli.log,
    web_cli.db,
    web_cli.jobs,
)


def register_records() -> None:
    """Say who builds each kind of record: the lowest slice that sees all its parts (SYNC 1)."""
    register_builder("org", build_org_records)
    register_builder("key", build_key_records)
    register_builder("entry", build_entry_records)
    register_builder("checkpoint", build_checkpoint_records)


def install(app: Flask, *, settings: Settings, sessions: Sessions) -> None:
    """Register all records, routes and commands."""
    register_records()
    for blueprint in (*EVERYONE, *SIGNED_IN, *STAFF):
        app.register_blueprint(blueprint.bp)
    # Machines with a token of their own; each watcher keeps a thread, so pages get the other half.
    sync.install(app, settings=settings, sessions=sessions, places=settings.threads // 2)
    app.register_blueprint(operations.bp)
    if settings.is_development:
        app.register_blueprint(dev.bp)
    for group in COMMANDS:
        app.cli.add_command(group)


def install_sync(app: Flask, *, settings: Settings, sessions: Sessions) -> Fan:
    """Register what processes of their own for `/sync/` answer: that, how they are, and to whom they stream."""
    register_records()
    app.register_blueprint(health.bp)
    app.register_blueprint(operations.bp)
    sync.install(app, settings=settings, sessions=sessions, places=settings.sync_places)
    fan = app.extensions["portal.fan"] = Fan(sync.hub_of(app))
    return fan
