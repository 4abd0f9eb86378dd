"""Every page, as people of both schemes and of wide and narrow screens meet it."""

from dataclasses import dataclass

import pytest

from portal.accounts.address import start_change
from portal.accounts.commands import make_link
from portal.accounts.models import LinkPurpose, User
from portal.changelog.announcements import publish_announcement
from portal.changelog.commands import draft_of, publish_change
from portal.changelog.drafts import start_draft
from portal.changelog.holds import hold_change
from portal.changelog.subscribers import unsubscribe_token
from portal.changelog.subscriptions import subscribe
from portal.core import clock as core_clock
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.outbox import Message, list_mails, queue_mail
from portal.orgs.commands import suspend_org
from portal.orgs.models import Org
from portal.sync.commands import add_gateway
from portal.transparency.signer import log_transaction
from tests.support.authenticator import give_authenticator
from tests.support.boards import talk
from tests.support.change_files import CELL, change_file
from tests.support.chromium import faults
from tests.support.factories import (
    actor_of,
    make_grant,
    make_invitation,
    make_key,
    make_move,
    make_org,
    make_org_token,
    make_request,
    make_token,
)

pytestmark = pytest.mark.browser

PUBLIC = (
    "/",
    "/limits",
    "/limits?at=2026-12-24",
    "/upgrades",
    "/limits?at=2027-12-24&known_at=2027-01-01",
    "/changelog",
    "/changelog?tier=build&direction=tightening&when=upcoming",
    "/changelog/1",
    "/changelog/2",
    "/changelog/3",
    "/changelog/{news}",
    "/changelog/notice",
    "/changelog/unsubscribe/{unsubscribe}",
    "/feedback",
    "/feedback?q=nothing&state=open",
    "/feedback/clocks",
    "/feedback/1",
    "/feedback/1/posts/{post}",
    "/feedback/1/posts/{reply}/history",
    "/docs",
    "/docs/api",
    "/docs/gateway",
    "/docs/keys",
    "/docs/log",
    "/docs/operating",
    "/signup",
    "/signup/mail",
    "/login",
    "/set-password/{link}",
    "/forgot-password",
    "/forgot-password/mail",
    "/email-change/{address}",
    "/invitations/{invited}",
    "/design",
    "/dev/mail",
    "/dev/mail/{mail}",
    "/nothing-here",
)
MEMBER = (
    "/",
    "/changelog",
    "/changelog/subscriptions",
    "/orgs/acme",
    "/orgs/acme/keys",
    "/orgs/acme/keys?q=nothing&state=paused",
    "/orgs/acme/keys/new",
    "/orgs/acme/keys/{key}",
    "/orgs/acme/keys/{key}/revoke",
    "/orgs/acme/keys/{key}/rename",
    "/orgs/acme/keys/{key}/pause",
    "/orgs/acme/keys/{key}/resume",
    "/orgs/acme/keys/{key}/rotate",
    "/orgs/acme/keys/{key}/caps",
    "/orgs/acme/settings/keys",
    "/orgs/acme/usage",
    "/orgs/acme/usage?span=month&by=key",
    "/orgs/acme/usage/warnings",
    "/orgs/acme/tier",
    "/orgs/gull/tier/scale/request",
    "/orgs/acme/requests/{request}",
    "/orgs/acme/requests/{request}/withdraw",
    "/orgs/acme/members",
    "/orgs/acme/members/{member}/role",
    "/orgs/acme/members/{member}/hand-over",
    "/orgs/acme/members/{member}/remove",
    "/orgs/acme/leave",
    "/orgs/acme/invitations/new",
    "/orgs/acme/invitations/{invitation}/resend",
    "/orgs/acme/invitations/{invitation}/revoke",
    "/orgs/acme/settings",
    "/orgs/new",
    "/orgs/acme/journal",
    "/orgs/acme/journal?kind=staff",
    "/feedback/1",
    "/feedback/mine",
    "/feedback/new",
    "/feedback/new?title=More+requests+for+us",
    "/feedback/1/posts/{post}/edit",
    "/feedback/1/posts/{reply}/report",
    "/feedback/1/close",
    "/account",
    "/account/email",
    "/account/sessions",
    "/account/data",
    "/account/tokens",
    "/account/tokens/new",
    "/account/tokens/{token}/revoke",
    "/orgs/acme/tokens",
    "/orgs/acme/tokens/new",
    "/orgs/acme/tokens/{org_token}/revoke",
    "/account/delete",
    "/account/second-factor",
    "/logout",
)
# For whoever has a second factor.
FACTOR = (
    "/account",
    "/account/second-factor",
    "/account/second-factor/off",
    "/account/second-factor/codes",
)
HALF_WAY = "/login/code"
STAFF = (
    "/admin/orgs",
    "/admin/orgs/acme",
    "/admin/orgs/acme/tier",
    "/admin/orgs/acme/keys",
    "/admin/orgs/acme/moves/{move}/cancel",
    "/admin/orgs/acme/grants/new",
    "/admin/orgs/acme/grants/{grant}/end",
    "/admin/bulk/tier?all=1",
    "/admin/bulk/message?all=1",
    "/admin/orgs/acme/suspend",
    "/admin/orgs/delta",
    "/admin/orgs/delta/lift",
    "/admin/requests",
    "/admin/requests/{request}",
    "/admin/requests/{request}/take-up",
    "/admin/requests/{request}/ask",
    "/admin/requests/{request}/approve",
    "/admin/requests/{request}/decline",
    "/feedback/1",
    "/admin/feedback",
    "/admin/feedback/1",
    "/admin/feedback/1/acknowledge",
    "/admin/feedback/1/review",
    "/admin/feedback/1/deliver",
    "/admin/feedback/1/answer",
    "/admin/feedback/1/decide",
    "/admin/moderation",
    "/admin/moderation/posts/{reply}/hide",
    "/admin/moderation/posts/{reply}/keep",
    "/admin/moderation/posts/{hidden}/restore",
    "/admin/moderation/threads/1/lock",
    "/admin/moderation/threads/1/notes/new",
    "/admin/gateways",
    "/admin/alerts",
    "/admin/log",
    "/admin/changes",
    "/admin/changes/new",
    "/admin/changes/drafts/{draft}",
    "/admin/changes/drafts/{draft}/preview",
    "/admin/changes/drafts/{draft}/publish",
    "/admin/changes/drafts/{draft}/discard",
    "/admin/changes/2/withdraw",
    "/admin/changes/2/reschedule",
    "/admin/changes/2/hold",
    "/admin/changes/3/release",
    "/admin/changes/2/amend",
    "/admin/changes/notice",
    "/admin/announcements/new",
    "/admin/announcements/{news}/withdraw",
)
# Answers of GET addresses that are no pages.
NO_PAGES = {
    "operations.show",  # figures for scrapers
    "accounts.confirm_email",
    "admin.start",
    "console.org_slash",
    "documents.atom",
    "documents.json_feed",
    "documents.limits",
    "documents.reason",
    "feedback_feeds.board",
    "feedback_feeds.thread",
    "feedback_records.decision",
    "health.alive",
    "health.ready",
    "journal.export",
    "keys_api.key",
    "keys_api.list_keys",
    "portal_api.openapi",
    "static",
    "sync.state",
    "tokens_api.orgs",
    "transparency.checkpoint",
    "transparency.entries",
    "usage.export",
    "usage_api.my_limits",
}
SCREENS = {"light": 1280, "dark": 360}


@dataclass(frozen=True)
class Things:
    """What the addresses name."""

    key: str
    link: str
    mail: str
    draft: str
    news: str
    unsubscribe: str
    move: str
    grant: str
    request: str
    address: str
    member: str
    invitation: str
    invited: str
    post: str
    reply: str
    hidden: str
    token: str
    org_token: str


@pytest.fixture
def things(sessions, settings, cast) -> Things:
    with sessions() as session, transaction(session):
        acme, delta = (session.get_one(Org, org.id) for org in (cast.acme, cast.delta))
        move, grant = make_move(session, org=acme), make_grant(session, org=acme)
        issued = make_key(session, org=acme, actor=cast.ada.actor)
        request = make_request(session, org=acme, staff=cast.root.actor)
        make_org(session, name="Gull", owner=session.get_one(User, cast.ada.user_id))
        suspend_org(session, actor=CLI, org=delta, reason="For the picture.")
        add_gateway(session, actor=CLI, name="gw-1", brand="plim")
        invitation, invited = make_invitation(session, org=acme)
        ada, root = (session.get_one(User, each.user_id) for each in (cast.ada, cast.root))
        link = make_link(session, user=root, purpose=LinkPurpose.SET_PASSWORD)
        email, url = "ada@example.net", "http://127.0.0.1"
        start_change(
            session,
            actor=cast.ada.actor,
            user=ada,
            email=email,
            url=url,
        )
        queue_mail(session, PICTURE, event="picture", person=cast.ada.user_id)
        draft = start_draft(session, actor=CLI, content=change_file(rows=[RAISED]))
        news = publish_announcement(session, actor=CLI, title="Hello", text="It is **so**.")
        subscription = make_subscription(session, user_id=cast.ada.user_id)
        said = talk(session, cast)
        token, org_token = make_token(session, user=ada), make_org_token(session, org=acme)
    announce_changes(sessions, settings)
    give_authenticator(sessions, cast.ben)
    with sessions() as session:
        mails = list_mails(session)
        mail = mails[0].id
        address = next(
            mail.text.partition("/email-change/")[2].split()[0]
            for mail in mails
            if "/email-change/" in mail.text
        )
        return Things(
            key=issued.key.id,
            link=link,
            mail=mail,
            draft=draft.id,
            news=news.id,
            unsubscribe=unsubscribe_token([subscription], key=settings.secret_key),
            move=move.id,
            grant=grant.id,
            request=request.id,
            address=address,
            member=cast.ben.user_id,
            invitation=invitation,
            invited=invited,
            post=said.post,
            reply=said.reply,
            hidden=said.hidden,
            token=token.token.id,
            org_token=org_token.token.id,
        )


def make_subscription(session, *, user_id) -> str:
    user = session.get_one(User, user_id)
    return subscribe(session, actor=actor_of(user), user=user, tier="scale").id


PICTURE = Message(to="ada@example.com", subject="Hello", text="See http://127.0.0.1/x\n")
RAISED = {**CELL, "tier": "start", "quota": 1200}


def announce_changes(sessions, settings) -> None:
    """Change 2 is announced, change 3 is held."""
    cut = draft_of(change_file(effective_at=core_clock.timestamp() + 3_000_000))
    raised = draft_of(change_file(rows=[RAISED], effective_at=core_clock.timestamp() + 3_000_000))
    with sessions() as session, log_transaction(session, sessions, settings=settings, actor=CLI):
        for draft in (cut, raised):
            publish_change(session, actor=CLI, draft=draft)
        hold_change(session, actor=CLI, number=3, name="staff", reason="For the picture.")


def look(page, url: str) -> list[str]:
    page.goto(url)
    return [f"{url}: {line}" for line in faults(page)]


# The narrow screen is where pages break; the wide one, and what staff see, are looked at in the long run.
@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("who", "paths"),
    [
        (None, PUBLIC),
        ("ada", MEMBER),
        ("ben", FACTOR),
        pytest.param("root", STAFF, marks=pytest.mark.long),
    ],
    ids=["all", "ada", "ben", "root"],
)
def test_every_page_is_accessible_and_fits(page, portal, cast, things, sign_in, scheme, who, paths):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": SCREENS[scheme], "height": 900})
    if who:
        sign_in(getattr(cast, who))

    found = [line for path in paths for line in look(page, portal + path.format(**vars(things)))]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("scheme", SCREENS)
def test_the_page_between_password_and_code_is_accessible_and_fits(
    page, portal, cast, things, scheme
):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": SCREENS[scheme], "height": 900})
    page.goto(f"{portal}/login")
    page.get_by_label("E-mail address").fill(cast.ben.email)
    page.get_by_label("Password").fill(cast.ben.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{portal}{HALF_WAY}")

    assert not faults(page)


def test_no_page_was_forgotten(app):
    """A new page is looked at too, or said to be none."""
    map_ = app.url_map.bind("127.0.0.1")
    paths = (
        path.replace("{news}", "ann_x") for path in (*PUBLIC, *MEMBER, *FACTOR, *STAFF, HALF_WAY)
    )
    named = [path.partition("?")[0] for path in paths]
    looked_at = {map_.match(path)[0] for path in named if path != "/nothing-here"}

    pages = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}

    assert pages - looked_at == NO_PAGES


def test_a_page_that_shuts_people_out_is_noticed(page):
    page.set_content("<html><body style='width: 9000px'><img src='x'><p>Who can read this?</p>")

    found = "\n".join(faults(page))

    assert "image-alt" in found
    assert "wider than the screen" in found
