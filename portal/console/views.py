from flask import Blueprint, Response, url_for

from portal.accounts import login, passwords
from portal.accounts.commands import Origin
from portal.accounts.errors import PersonExists
from portal.accounts.login import current_actor
from portal.accounts.views import browser
from portal.console.forms import SignUpForm
from portal.console.orgs import current_membership
from portal.console.queries import get_dashboard
from portal.core.db import transaction
from portal.core.errors import TooMany
from portal.orgs.errors import SlugTaken
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org
from portal.tiers import commands
from portal.web import responses, throttle
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("console", __name__)

RACES_MAX = 3


@bp.get("/")
@public
def home() -> Response:
    """Signed out: what this is. Signed in: the dashboard, or for staff the list of organisations."""
    person = login.viewer()
    if person is None:
        return responses.page("front.html")
    chosen = current_membership()
    if chosen is None:
        if person.is_admin:
            return responses.done(url_for("admin.orgs"))
        return responses.page("console/no_org.html")
    return _dashboard(chosen[0])


@bp.get("/orgs/<org>")
def org(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.SEE_ORG)
    return _dashboard(found)


@bp.get("/orgs/<org>/")
def org_slash(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.SEE_ORG)
    return responses.done(url_for("console.org", org=found.slug))


def _dashboard(org: Org) -> Response:
    return responses.page(
        "console/dashboard.html", page=get_dashboard(session(), current_actor(), org)
    )


@bp.get("/signup")
@public
def new_account() -> Response:
    if login.viewer():
        return responses.done(url_for("console.home"))
    return responses.page("console/sign_up.html", form=SignUpForm())


@bp.post("/signup")
@public
def sign_up() -> Response:
    """The answer, and the time it takes, are the same whether or not the address is known."""
    form = SignUpForm()
    if not (form.validate() and form.is_strong(email=form.email.data)):
        return responses.invalid(
            "console/sign_up.html", fragment="console/_sign_up_form.html", form=form
        )
    throttle.take("sign_up", throttle.address())
    request = commands.SignUp(
        email=form.email.data,
        password_hash=passwords.hash_password(form.password.data),
        organisation=form.organisation.data,
    )
    if _may_mail(request.email):
        _sign_up(request)
    return responses.done(url_for("console.check_mail"))


def _may_mail(email: str) -> bool:
    """Whether a further mail to the address is fair. If not, the answer stays the same: who floods a
    mailbox learns nothing, and whoever owns it has mails enough."""
    try:
        throttle.take("mail_link", email.lower())
    except TooMany:
        return False
    return True


def _sign_up(request: commands.SignUp) -> None:
    origin = Origin(browser=browser(), url=settings().url)
    for left in reversed(range(RACES_MAX)):
        try:
            with transaction(session()):
                commands.sign_up(session(), actor=current_actor(), request=request, origin=origin)
        except (PersonExists, SlugTaken):
            # Somebody was faster by a moment; on the next look they are simply there.
            if not left:
                raise
        else:
            return


@bp.get("/signup/mail")
@public
def check_mail() -> Response:
    return responses.page("console/check_mail.html")
