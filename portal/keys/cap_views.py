"""The caps of one key."""

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.keys import caps
from portal.keys.forms import CapForm, RemoveCapForm
from portal.keys.models import ApiKey
from portal.keys.queries import get_key
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org
from portal.web import responses
from portal.web.session import session

bp = Blueprint("key_caps", __name__, url_prefix="/orgs/<org>/keys/<key>/caps")


@bp.get("")
def key_caps(org: str, key: str) -> Response:
    found, row = _load(org, key)
    page = caps.get_cap_page(session(), found, row)
    form = CapForm()
    form.limit.choices = list(page.choices)
    return responses.page("keys/caps.html", org=found, key=row, page=page, form=form)


@bp.post("")
def set_cap(org: str, key: str) -> Response:
    form, actor = CapForm(), current_actor()
    try:
        with transaction(session()):
            found, row = _load(org, key, for_update=True)
            page = caps.get_cap_page(session(), found, row)
            form.limit.choices = list(page.choices)
            if not form.validate():
                return _again(form, org, key)
            of, quota = page.limits[form.limit.data], form.quota.data or 0
            caps.set_cap(session(), actor=actor, org=found, key=row, limit=of, quota=quota)
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return _again(form, org, key)
    return responses.done(_page_of(found, row), message=f"“{row.name}” is capped.")


@bp.post("/remove")
def remove_cap(org: str, key: str) -> Response:
    form, actor = RemoveCapForm(), current_actor()
    with transaction(session()):
        found, row = _load(org, key, for_update=True)
        page = caps.get_cap_page(session(), found, row)
        form.limit.choices = [(value, value) for value in page.limits]
        if not form.validate():
            raise Invalid("There is no such limit.", field="limit")
        of = page.limits[form.limit.data]
        caps.remove_cap(session(), actor=actor, key=row, limit=of)
    return responses.done(_page_of(found, row), message="The cap is removed.")


def _again(form: CapForm, org: str, key: str) -> Response:
    # Read afresh: where a command refused, what was loaded before went with its transaction.
    found, row = _load(org, key)
    page = caps.get_cap_page(session(), found, row)
    form.limit.choices = list(page.choices)
    return responses.invalid(
        "keys/caps.html", fragment="keys/_cap_form.html", org=found, key=row, page=page, form=form
    )


def _load(org: str, key: str, *, for_update: bool = False) -> tuple[Org, ApiKey]:
    found = get_org(session(), current_actor(), org, needs=Permission.EDIT_KEY)
    return found, get_key(session(), found, key_id=key, for_update=for_update)


def _page_of(org: Org, key: ApiKey) -> str:
    return url_for("key_caps.key_caps", org=org.slug, key=key.id)
