"""What an organisation asks of its own keys."""

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.keys.commands import set_rules
from portal.keys.forms import KeyRulesForm
from portal.keys.queries import count_beyond, get_rules
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org
from portal.web import responses
from portal.web.session import session

bp = Blueprint("key_rules", __name__, url_prefix="/orgs/<org>/settings/keys")


@bp.get("")
def rules(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.MANAGE_ORG)
    held = get_rules(session(), found.id)
    return responses.page(
        "keys/rules.html",
        org=found,
        form=KeyRulesForm.of(held),
        beyond=count_beyond(session(), found.id, held),
    )


@bp.post("")
def change_rules(org: str) -> Response:
    form, actor = KeyRulesForm(), current_actor()
    form.prove()
    with transaction(session()):
        # Whoever issues a key locks the organisation, too: no key slips past a rule that is being made.
        found = get_org(session(), actor, org, needs=Permission.MANAGE_ORG, for_update=True)
        if not form.validate():
            return responses.invalid(
                "keys/rules.html",
                fragment="keys/_rules_form.html",
                org=found,
                form=form,
                beyond=count_beyond(session(), found.id, get_rules(session(), found.id)),
            )
        set_rules(session(), actor=actor, org=found, rules=form.asked())
    return responses.done(
        url_for("key_rules.rules", org=found.slug), message="The rules hold from now on."
    )
