"""What is done to one key beside revoking it: another name, a pause, a rotation."""

from typing import Any

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.keys import commands, queries
from portal.keys.forms import PauseKeyForm, RenameKeyForm, ResumeKeyForm, RotateKeyForm
from portal.keys.models import ApiKey
from portal.keys.policy import must_issue
from portal.keys.rotation import end_of_successor, must_be_rotatable, rotate_key
from portal.keys.views import first_model, rule_of_end
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org, role_of
from portal.web import responses
from portal.web.session import session, settings

bp = Blueprint("key_acts", __name__, url_prefix="/orgs/<org>/keys/<key>")


@bp.get("/rename")
def new_name(org: str, key: str) -> Response:
    found, row = _load(org, key, needs=Permission.EDIT_KEY)
    form = RenameKeyForm(name=row.name)
    return responses.page(
        "keys/rename.html", fragment="keys/_rename_question.html", org=found, key=row, form=form
    )


@bp.post("/rename")
def rename_key(org: str, key: str) -> Response:
    form, actor = RenameKeyForm(), current_actor()
    try:
        with transaction(session()):
            found, row = _load(org, key, needs=Permission.EDIT_KEY, for_update=True)
            if not form.validate():
                return _rename_again(form, org, key)
            commands.rename_key(session(), actor=actor, key=row, name=form.name.data)
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field="name")
        return _rename_again(form, org, key)
    return responses.done(_page_of(found, row), message=f"The key is called “{row.name}” now.")


def _rename_again(form: RenameKeyForm, org: str, key: str) -> Response:
    found, row = _load(org, key, needs=Permission.EDIT_KEY)
    return responses.invalid(
        "keys/rename.html", fragment="keys/_rename_form.html", org=found, key=row, form=form
    )


@bp.get("/pause")
def confirm_pause(org: str, key: str) -> Response:
    found, row = _load(org, key, needs=Permission.PAUSE_KEY)
    return responses.page(
        "keys/pause.html",
        fragment="keys/_pause_question.html",
        org=found,
        key=row,
        form=PauseKeyForm(),
    )


@bp.post("/pause")
def pause_key(org: str, key: str) -> Response:
    actor = current_actor()
    with transaction(session()):
        found, row = _load(org, key, needs=Permission.PAUSE_KEY, for_update=True)
        commands.pause_key(session(), actor=actor, key=row)
    return responses.done(_page_of(found, row), message=f"“{row.name}” is paused.")


@bp.get("/resume")
def confirm_resume(org: str, key: str) -> Response:
    found, row = _load(org, key, needs=Permission.PAUSE_KEY)
    return responses.page(
        "keys/resume.html",
        fragment="keys/_resume_question.html",
        org=found,
        key=row,
        form=ResumeKeyForm(),
    )


@bp.post("/resume")
def resume_key(org: str, key: str) -> Response:
    actor = current_actor()
    with transaction(session()):
        found, row = _load(org, key, needs=Permission.PAUSE_KEY, for_update=True)
        commands.resume_key(session(), actor=actor, key=row)
    return responses.done(_page_of(found, row), message=f"“{row.name}” works again.")


@bp.get("/rotate")
def confirm_rotate(org: str, key: str) -> Response:
    found, row = _load(org, key, needs=Permission.ROTATE_KEY)
    must_issue(
        queries.get_rules(session(), found.id), role_of(session(), current_actor(), found.id)
    )
    must_be_rotatable(row)
    # A page of its own and no dialog: the answer shows a secret, which must not close with a key press.
    return responses.page("keys/rotate.html", **_rotation_page(RotateKeyForm(), found, row))


@bp.post("/rotate")
def rotate(org: str, key: str) -> Response:
    form, actor = RotateKeyForm(), current_actor()
    form.prove()
    try:
        with transaction(session()):
            # The organisation first, as whoever issues a key does: two at once take turns.
            found, row = _load(
                org, key, needs=Permission.ROTATE_KEY, for_update=True, locks_org=True
            )
            if not form.validate():
                return _rotate_again(form, org, key)
            brand, asked = settings().brand, form.asked()
            issued = rotate_key(
                session(), actor=actor, org=found, key=row, brand=brand, rotation=asked
            )
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return _rotate_again(form, org, key)
    return responses.secret(
        "keys/issued.html",
        fragment="keys/_issued.html",
        org=found,
        issued=issued,
        model=first_model(issued.key, queries.get_allowance(session(), found)),
        api_url=settings().api_url,
        old=row,
    )


def _rotate_again(form: RotateKeyForm, org: str, key: str) -> Response:
    page = _rotation_page(form, *_load(org, key, needs=Permission.ROTATE_KEY))
    return responses.invalid("keys/rotate.html", fragment="keys/_rotate_form.html", **page)


def _rotation_page(form: RotateKeyForm, org: Org, key: ApiKey) -> dict[str, Any]:
    rules = queries.get_rules(session(), org.id)
    end = end_of_successor(key, rules, at=clock.now())
    return {"form": form, "org": org, "key": key, "rule": rule_of_end(rules), "end": end}


def _load(
    org: str, key: str, *, needs: Permission, for_update: bool = False, locks_org: bool = False
) -> tuple[Org, ApiKey]:
    found = get_org(session(), current_actor(), org, needs=needs, for_update=locks_org)
    return found, queries.get_key(session(), found, key_id=key, for_update=for_update)


def _page_of(org: Org, key: ApiKey) -> str:
    return url_for("key_page.key", org=org.slug, key=key.id)
