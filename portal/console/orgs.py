"""A person's organisations: which one the pages are about, and a further one."""

from typing import Any

from flask import Blueprint, Response, g, request, url_for
from flask import session as cookie

from portal.accounts import login
from portal.accounts.errors import ConfirmAddressFirst
from portal.accounts.login import current_actor
from portal.accounts.models import User
from portal.accounts.queries import get_user
from portal.core.db import transaction
from portal.orgs.errors import SlugTaken
from portal.orgs.forms import NameForm
from portal.orgs.models import Org, Role
from portal.orgs.policy import Permission, may
from portal.orgs.queries import list_memberships
from portal.tiers.commands import found_org
from portal.web import responses, throttle
from portal.web.session import session

bp = Blueprint("own_orgs", __name__)

CHOSEN = "org"  # the cookie's note of the organisation that the person looked at last


@bp.app_context_processor
def provide_orgs() -> dict[str, Any]:
    """What the frame of each page shows: the organisation it is about, the others, and what one may there."""
    chosen = current_membership()
    return {
        "current_org": chosen and chosen[0],
        "my_orgs": [org for org, _ in _memberships()],
        "may_here": lambda name: chosen is not None and may(chosen[1], Permission(name)),
    }


def current_membership() -> tuple[Org, Role] | None:
    """The organisation in the address if the person is a member, else the one they looked at last."""
    if "current_membership" not in g:
        g.current_membership = _choose(_memberships())
    chosen: tuple[Org, Role] | None = g.current_membership
    return chosen


def _choose(mine: list[tuple[Org, Role]]) -> tuple[Org, Role] | None:
    slug = (request.view_args or {}).get("org")
    named = next((each for each in mine if each[0].slug == slug), None)
    if named is not None:
        if cookie.get(CHOSEN) != named[0].id:
            cookie[CHOSEN] = named[0].id
        return named
    last = next((each for each in mine if each[0].id == cookie.get(CHOSEN)), None)
    return last or (mine[0] if mine else None)


def _memberships() -> list[tuple[Org, Role]]:
    person = login.viewer()
    if person is None:
        return []
    if "memberships" not in g:
        g.memberships = list_memberships(session(), person.user_id)
    found: list[tuple[Org, Role]] = g.memberships
    return found


@bp.get("/orgs/new")
def new_org() -> Response:
    return responses.page("console/new_org.html", form=NameForm())


@bp.post("/orgs")
def create_org() -> Response:
    form, actor = NameForm(), current_actor()
    if not form.validate():
        return _again(form)
    throttle.take("found_org", actor.user_id or "")
    try:
        with transaction(session()):
            owner = _confirmed(actor.user_id)
            org = found_org(session(), actor=actor, owner=owner, name=form.name.data)
    except (ConfirmAddressFirst, SlugTaken) as error:
        form.refuse(error.public, field="name")
        return _again(form)
    to = url_for("console.org", org=org.slug)
    return responses.done(to, message=f"You own {org.name} now.")


def _confirmed(user_id: str | None) -> User:
    user = get_user(session(), user_id)
    if user.email_confirmed_at is None:
        raise ConfirmAddressFirst
    return user


def _again(form: NameForm) -> Response:
    return responses.invalid(
        "console/new_org.html", fragment="console/_new_org_form.html", form=form
    )
