from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.keys import commands, queries
from portal.keys.forms import IssueKeyForm, RevokeKeyForm
from portal.keys.models import ApiKey, Environment, KeyState
from portal.keys.policy import Rules, must_issue
from portal.keys.queries import KeyFilter
from portal.orgs.policy import Permission, may
from portal.orgs.queries import get_org, is_confirmed, role_of
from portal.web import filters, responses
from portal.web.session import session, settings

bp = Blueprint("keys", __name__, url_prefix="/orgs/<org>/keys")

SEARCH_MAX = 80
PAGES_MAX = 100_000


@bp.get("")
def keys(org: str) -> Response:
    actor = current_actor()
    found = get_org(session(), actor, org, needs=Permission.SEE_KEYS)
    role = role_of(session(), actor, found.id)
    return responses.page(
        "keys/index.html",
        fragment="keys/_key_list.html",
        org=found,
        may_issue=role in queries.get_rules(session(), found.id).issuing_roles,
        may_manage=may(role, Permission.MANAGE_ORG),
        is_confirmed=is_confirmed(session(), found.id),
        keys=queries.list_keys(session(), found, _asked()),
        states=list(KeyState),
        environments=list(Environment),
        allowance=queries.get_allowance(session(), found),
    )


def _asked() -> KeyFilter:
    """What the address asks for; what it cannot mean is left out."""
    state, environment = (request.args.get(name, "") for name in ("state", "environment"))
    return KeyFilter(
        search=request.args.get("q", "").strip()[:SEARCH_MAX],
        state=state if state in set(KeyState) else "",
        environment=environment if environment in set(Environment) else "",
        page=min(max(request.args.get("page", 1, type=int), 1), PAGES_MAX),
    )


@bp.get("/new")
def new_key(org: str) -> Response:
    actor = current_actor()
    found = get_org(session(), actor, org, needs=Permission.ISSUE_KEY)
    rules = queries.get_rules(session(), found.id)
    must_issue(rules, role_of(session(), actor, found.id))
    form = IssueKeyForm().offer(queries.get_allowance(session(), found).models)
    return responses.page("keys/new.html", org=found, form=form, rule=rule_of_end(rules))


@bp.post("")
def issue_key(org: str) -> Response:
    form, actor = IssueKeyForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            found = get_org(session(), actor, org, needs=Permission.ISSUE_KEY, for_update=True)
            allowance = queries.get_allowance(session(), found)
            if not form.offer(allowance.models).validate():
                return _new_key_again(form, org)
            issued = commands.issue_key(
                session(), actor=actor, org=found, brand=settings().brand, request=form.asked()
            )
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return _new_key_again(form, org)
    return responses.secret(
        "keys/issued.html",
        fragment="keys/_issued.html",
        org=found,
        issued=issued,
        model=first_model(issued.key, allowance),
        api_url=settings().api_url,
        old=None,
    )


@bp.get("/<key>/revoke")
def confirm_revoke(org: str, key: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.REVOKE_KEY)
    row = queries.get_key(session(), found, key_id=key)
    return responses.page(
        "keys/revoke.html",
        fragment="keys/_revoke_question.html",
        org=found,
        key=row,
        form=RevokeKeyForm(),
    )


@bp.post("/<key>/revoke")
def revoke_key(org: str, key: str) -> Response:
    form, actor = RevokeKeyForm(), current_actor()
    with transaction(session()):
        found = get_org(session(), actor, org, needs=Permission.REVOKE_KEY)
        row = queries.get_key(session(), found, key_id=key, for_update=True)
        if not form.validate():
            return responses.invalid(
                "keys/revoke.html", fragment="keys/_revoke_form.html", org=found, key=row, form=form
            )
        commands.revoke_key(session(), actor=actor, key=row, reason=form.reason.data)
    to = url_for("key_page.key", org=found.slug, key=row.id)
    return responses.done(to, message=f"“{row.name}” is revoked.")


def _new_key_again(form: IssueKeyForm, org: str) -> Response:
    # Read afresh: where a command refused, what was loaded before went with its transaction.
    found = get_org(session(), current_actor(), org, needs=Permission.ISSUE_KEY)
    return responses.invalid(
        "keys/new.html",
        fragment="keys/_new_key_form.html",
        form=form,
        org=found,
        rule=rule_of_end(queries.get_rules(session(), found.id)),
    )


def rule_of_end(rules: Rules) -> str | None:
    """What the organisation's rules say of a new key's end."""
    latest = rules.latest_end(clock.now())
    if latest is not None:
        until = filters.instant(latest.replace(second=0))
        return f"Your organisation asks for an end, at the latest {until}."
    return "Your organisation asks for an end." if rules.must_end else None


def first_model(key: ApiKey, allowance: queries.Allowance) -> str:
    """A model for the first call: one that the key may use."""
    return next(iter(key.models or allowance.models), "")
