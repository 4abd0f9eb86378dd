"""An organisation's tier: assigned now or at a date; a planned move cancelled."""

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin.forms import AssignTierForm, ReasonForm
from portal.admin.queries import get_tier_page
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.orgs.queries import get_org_as_admin
from portal.tiers.errors import MovedMeanwhile
from portal.tiers.moves import cancel_move as cancel
from portal.tiers.moves import decide_tier
from portal.tiers.queries import get_move, list_tiers
from portal.tiers.shown import show_move
from portal.web import filters, responses
from portal.web.session import session

bp = Blueprint("admin_tiers", __name__, url_prefix="/admin/orgs/<org>")
bp.before_request(require_admin)


@bp.get("/tier")
def tier(org: str) -> Response:
    page, form = get_tier_page(session(), current_actor(), org), AssignTierForm()
    form.offer(page.tiers)
    form.seen.data = page.token
    return responses.page("admin/tier.html", page=page, form=form)


@bp.post("/tier")
def assign_tier(org: str) -> Response:
    form, actor = AssignTierForm(), current_actor()
    try:
        with transaction(session()):
            found = get_org_as_admin(session(), actor, org, for_update=True)
            form.offer(list_tiers(session()))
            if not form.validate():
                return _again(org, form)
            # Without the token of what was seen nobody knows whether somebody else was quicker.
            decision = form.decision(seen=form.seen.data or "")
            move = decide_tier(session(), actor=actor, org=found, decision=decision)
    except MovedMeanwhile:
        raise
    except Invalid as error:
        form.refuse(error.public, field=error.field)
        return _again(org, form)
    except Conflict as error:
        form.refuse(error.public, field="tier")
        return _again(org, form)
    name = dict(form.tier.choices)[form.tier.data]
    said = f"{found.name} is on {name} now."
    if move is not None:
        said = f"{found.name} moves to {name} on {filters.instant(move.effective_at)}."
    return responses.done(url_for("admin.org", org=found.slug), message=said)


def _again(org: str, form: AssignTierForm) -> Response:
    page = get_tier_page(session(), current_actor(), org)
    form.offer(page.tiers)
    return responses.invalid(
        "admin/tier.html", fragment="admin/_tier_form.html", page=page, form=form
    )


@bp.get("/moves/<move>/cancel")
def confirm_cancel(org: str, move: str) -> Response:
    found = get_org_as_admin(session(), current_actor(), org)
    row = get_move(session(), found, move_id=move)
    return responses.page(
        "admin/cancel_move.html",
        fragment="admin/_cancel_move_question.html",
        org=found,
        move=show_move(session(), row),
        form=ReasonForm(),
    )


@bp.post("/moves/<move>/cancel")
def cancel_move(org: str, move: str) -> Response:
    form, actor = ReasonForm(), current_actor()
    with transaction(session()):
        found = get_org_as_admin(session(), actor, org, for_update=True)
        row = get_move(session(), found, move_id=move, for_update=True)
        if not form.validate():
            # The form alone: the question around it, page or dialog, stands already.
            return responses.invalid(
                "admin/cancel_move.html",
                fragment="admin/_cancel_move_form.html",
                org=found,
                move=show_move(session(), row),
                form=form,
            )
        cancel(session(), actor=actor, org=found, move=row, reason=form.reason.data or "")
    return responses.done(
        url_for("admin.org", org=found.slug), message=f"The move of {found.name} is cancelled."
    )
