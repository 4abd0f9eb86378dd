"""One key with its receipt: it needs keys and sync, so it lives above both."""

from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor
from portal.console.hearing import get_hearing
from portal.core import clock
from portal.core.db import wakeup_of
from portal.keys.caps import get_cap_page
from portal.keys.models import ApiKey, KeyState
from portal.keys.queries import get_key, get_rules, get_story
from portal.orgs.models import Org, Role
from portal.orgs.policy import Permission, may
from portal.orgs.queries import get_org, role_of
from portal.sync.queries import await_receipt
from portal.usage.shown import get_cap_meter
from portal.web import responses
from portal.web.session import session, sessions

bp = Blueprint("key_page", __name__, url_prefix="/orgs/<org>/keys")

AWAIT_SECONDS = 0.8
LOOKS_MAX = 20


@bp.get("/<key>")
def key(org: str, key: str) -> Response:
    actor = current_actor()
    found = get_org(session(), actor, org, needs=Permission.SEE_KEYS)
    row = get_key(session(), found, key_id=key)
    wakeup = wakeup_of(sessions())
    receipt = await_receipt(session(), "key", row.id, wakeup=wakeup, seconds=AWAIT_SECONDS)
    looks = min(request.args.get("looks", 0, type=int), LOOKS_MAX)
    # The receipt asks again by itself while a gateway is awaited, at most for some seconds.
    again = None if receipt.is_complete or looks >= LOOKS_MAX else looks + 1
    role = role_of(session(), actor, found.id)
    return responses.page(
        "console/key.html",
        fragment="console/_receipt.html",
        org=found,
        key=row,
        state=row.state(clock.now()),
        may=_rights(found, row, role),
        story=get_story(session(), row),
        caps=get_cap_page(session(), found, row).caps,
        cap_meter=get_cap_meter(session(), found, row),
        hearing=get_hearing(session()),
        receipt=receipt,
        receipt_url=again and url_for("key_page.key", org=found.slug, key=row.id, looks=again),
    )


def _rights(org: Org, key: ApiKey, role: Role) -> dict[str, bool]:
    """What the page offers to a role."""
    state = key.state(clock.now())
    lives = state in {KeyState.ACTIVE, KeyState.PAUSED}
    issues = role in get_rules(session(), org.id).issuing_roles
    is_newest = state is not KeyState.REVOKED and key.successor_id is None
    return {
        "rename": is_newest and may(role, Permission.EDIT_KEY),
        "cap": lives and may(role, Permission.EDIT_KEY),
        "pause": state is KeyState.ACTIVE and may(role, Permission.PAUSE_KEY),
        "resume": state is KeyState.PAUSED and may(role, Permission.PAUSE_KEY),
        "rotate": is_newest and issues and may(role, Permission.ROTATE_KEY),
        "revoke": state is not KeyState.REVOKED and may(role, Permission.REVOKE_KEY),
    }
