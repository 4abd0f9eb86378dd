"""An organisation's keys as the staff sees them. Whoever opens the list leaves a line that the customer reads."""

from flask import Blueprint, Response, request

from portal.accounts.login import current_actor, require_admin
from portal.core.db import transaction
from portal.journal.commands import record_look
from portal.keys.queries import KeyFilter, list_keys
from portal.orgs.queries import get_org_as_admin
from portal.web import responses
from portal.web.session import session

bp = Blueprint("admin_keys", __name__, url_prefix="/admin/orgs/<org>/keys")
bp.before_request(require_admin)

PAGES_MAX = 10_000


@bp.get("")
def keys(org: str) -> Response:
    actor = current_actor()
    number = min(max(request.args.get("page", 1, type=int), 1), PAGES_MAX)
    with transaction(session()):
        found = get_org_as_admin(session(), actor, org)
        record_look(session(), actor, org_id=found.id, what="keys")
    listed = list_keys(session(), found, KeyFilter(page=number))
    return responses.page("admin/keys.html", org=found, keys=listed)
