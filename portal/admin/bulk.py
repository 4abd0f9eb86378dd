"""Acts on many organisations: choose, say what, look at a preview, act; a result for each."""

import re
from collections.abc import Sequence

from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin.asked import asked_for
from portal.admin.bulk_rows import BULK_MAX, ChosenRow, Outcome, act_on, foresee, read_rows
from portal.admin.forms import BulkMessageForm, BulkTierForm
from portal.admin.queries import OrgFilter, OrgRow, count_orgs, list_orgs
from portal.core.ids import new_id
from portal.orgs.commands import StaffMessage, message_owners
from portal.orgs.models import Org
from portal.tiers.moves import decide_tier
from portal.tiers.queries import list_tiers
from portal.web import responses
from portal.web.filters import instant, plural
from portal.web.session import session

bp = Blueprint("bulk", __name__, url_prefix="/admin/bulk")
bp.before_request(require_admin)

_BATCH = re.compile(r"bat_[0-9a-z]{26}", re.ASCII)


@bp.get("/tier")
def new_tier() -> Response:
    form = BulkTierForm()
    form.offer(list_tiers(session()))
    return _first_step("admin/bulk_tier.html", form)


@bp.post("/tier/preview")
def preview_tier() -> Response:
    form, orgs = BulkTierForm(), _chosen_by_id()
    form.offer(list_tiers(session()))
    if not (orgs and form.validate()):
        return responses.invalid("admin/bulk_tier.html", form=form, orgs=orgs, left_out=0)
    batch = new_id("bat")
    rows = foresee(session(), current_actor(), orgs, decision=form.decision(seen=None))
    return responses.page("admin/bulk_tier_preview.html", form=form, rows=rows, batch=batch)


@bp.post("/tier")
def assign_tiers() -> Response:
    form, rows, actor = BulkTierForm(), read_rows(request.form.getlist("row")), current_actor()
    form.offer(list_tiers(session()))
    if not (rows and form.validate()):
        return responses.invalid("admin/bulk_tier.html", form=form, orgs=_orgs_of(rows), left_out=0)
    batch = _batch()

    def act(org: Org, row: ChosenRow) -> str:
        decision = form.decision(seen=row.seen, batch=batch)
        move = decide_tier(session(), actor=actor, org=org, decision=decision)
        name = dict(form.tier.choices)[decision.tier]
        return f"Moves to {name} on {instant(move.effective_at)}." if move else f"Is on {name} now."

    return _result(act_on(session(), actor, rows, act=act), title="Tiers assigned")


@bp.get("/message")
def new_message() -> Response:
    return _first_step("admin/bulk_message.html", BulkMessageForm())


@bp.post("/message/preview")
def preview_message() -> Response:
    form, orgs = BulkMessageForm(), _chosen_by_id()
    if not (orgs and form.validate()):
        return responses.invalid("admin/bulk_message.html", form=form, orgs=orgs, left_out=0)
    batch = new_id("bat")
    return responses.page("admin/bulk_message_preview.html", form=form, orgs=orgs, batch=batch)


@bp.post("/message")
def send_message() -> Response:
    form, rows, actor = BulkMessageForm(), read_rows(request.form.getlist("row")), current_actor()
    if not (rows and form.validate()):
        return responses.invalid(
            "admin/bulk_message.html", form=form, orgs=_orgs_of(rows), left_out=0
        )
    message = StaffMessage(
        subject=form.subject.data or "", text=form.text.data or "", batch=_batch()
    )

    def act(org: Org, row: ChosenRow) -> str:  # noqa: ARG001 -- a message goes whatever the standing
        count = message_owners(session(), actor=actor, org=org, message=message)
        return f"{plural(count, 'owner')} told."

    return _result(act_on(session(), actor, rows, act=act), title="Owners told")


def _first_step(template: str, form: BulkTierForm | BulkMessageForm) -> Response:
    """The form, for those that were ticked, or for all that match the filter."""
    asked = asked_for(request.args)
    if "all" not in request.args:
        orgs = _orgs_of(read_rows(request.args.getlist("org")))
        left_out = 0
    else:
        orgs = list_orgs(session(), asked, limit=BULK_MAX)
        left_out = count_orgs(session(), asked) - len(orgs)
    if not orgs:
        back = url_for("admin.orgs", q=asked.search, tier=asked.tier, state=asked.state)
        return responses.done(back, message="Tick at least one organisation first.")
    return responses.page(template, form=form, orgs=orgs, left_out=left_out)


def _chosen_by_id() -> list[OrgRow]:
    return _orgs_of(read_rows(request.form.getlist("row")))


def _orgs_of(rows: Sequence[ChosenRow]) -> list[OrgRow]:
    return list_orgs(session(), OrgFilter(), ids=[row.org_id for row in rows], limit=BULK_MAX)


def _batch() -> str:
    """The act's id from the preview: sent twice, it is known for the same act."""
    given = request.form.get("batch", "")
    return given if _BATCH.fullmatch(given) else new_id("bat")


def _result(outcomes: list[Outcome], *, title: str) -> Response:
    done = sum(outcome.is_done for outcome in outcomes)
    return responses.page("admin/bulk_result.html", outcomes=outcomes, done=done, title=title)
