"""One key with its receipt: it needs keys and sync, so it lives above both."""

from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor
from portal.core import clock
from portal.core.db import wakeup_of
from portal.keys.queries import get_key
from portal.orgs.policy import Permission, may
from portal.orgs.queries import get_org, role_of
from portal.sync.queries import await_receipt
from portal.web import responses
from portal.web.session import session, sessions

bp = Blueprint("key_page", __name__, url_prefix="/orgs/<org>/keys")

AWAIT_SECONDS = 0.5
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
    return responses.page(
        "console/key.html",
        fragment="console/_receipt.html",
        org=found,
        key=row,
        state=row.state(clock.now()),
        may_revoke=may(role_of(session(), actor, found.id), Permission.REVOKE_KEY),
        receipt=receipt,
        receipt_url=again and url_for("key_page.key", org=found.slug, key=row.id, looks=again),
    )
