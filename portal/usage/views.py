"""The warnings of an organisation: what was reached, and when it wants to hear of it."""

from typing import Any

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.orgs.models import Org
from portal.orgs.policy import Permission, may
from portal.orgs.queries import get_org, role_of
from portal.usage.alerts import get_alerts, list_warnings, set_alerts
from portal.usage.forms import AlertsForm
from portal.usage.shown import name_warnings
from portal.web import responses
from portal.web.session import session

bp = Blueprint("usage_warnings", __name__, url_prefix="/orgs/<org>/usage/warnings")


@bp.get("")
def warnings(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.SEE_USAGE)
    alerts = get_alerts(session(), found.id)
    return responses.page(
        "usage/warnings.html", **_values(found), alerts=alerts, form=AlertsForm.of(alerts)
    )


@bp.post("")
def change_alerts(org: str) -> Response:
    form, actor = AlertsForm(), current_actor()
    with transaction(session()):
        found = get_org(session(), actor, org, needs=Permission.MANAGE_ALERTS, for_update=True)
        if not form.validate():
            return responses.invalid(
                "usage/warnings.html",
                fragment="usage/_alerts_form.html",
                **_values(found),
                alerts=get_alerts(session(), found.id),
                form=form,
            )
        set_alerts(session(), actor=actor, org=found, alerts=form.asked())
    return responses.done(
        url_for("usage_warnings.warnings", org=found.slug),
        message="You are warned like this from now on.",
    )


def _values(org: Org) -> dict[str, Any]:
    role = role_of(session(), current_actor(), org.id)
    return {
        "org": org,
        "warnings": name_warnings(session(), list_warnings(session(), org.id)),
        "may_manage": may(role, Permission.MANAGE_ALERTS),
    }
