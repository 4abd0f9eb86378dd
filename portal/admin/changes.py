"""Drafts of changes: the list, the editor, what a draft would do, and publishing it."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor, require_admin
from portal.admin.change_forms import DraftForm, EmptyForm, form_data
from portal.admin.change_grid import make_grid
from portal.admin.change_queries import get_changes_page, list_replaceable
from portal.admin.change_values import Reading, draft_values, read_values
from portal.changelog import drafts
from portal.changelog.models import ChangeDraft
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.transparency.queries import find_trouble, signed_log
from portal.transparency.signer import log_transaction
from portal.web import responses
from portal.web.session import session, sessions, settings

bp = Blueprint("changes", __name__, url_prefix="/admin/changes")
bp.before_request(require_admin)

EDITOR, OUTLOOK = "admin/change_draft.html", "admin/_change_outlook.html"


@dataclass(frozen=True)
class Typed:
    """What was sent from the editor."""

    form: DraftForm
    values: dict[str, str]
    reading: Reading
    is_valid: bool

    @property
    def content(self) -> dict[str, Any]:
        return {**self.form.content(), **self.reading.content}

    @property
    def errors(self) -> dict[str, str]:
        """Every message, under the words of its field."""
        said = {field.label.text: " ".join(field.errors) for field in self.form if field.errors}
        return {**said, **self.reading.errors}


@bp.get("")
def changes() -> Response:
    page = get_changes_page(session())
    return responses.page("admin/changes.html", page=page, trouble=find_trouble(session()))


@bp.get("/new")
def new_draft() -> Response:
    return responses.page("admin/change_new.html", form=EmptyForm())


@bp.post("/new")
def start_draft() -> Response:
    form, actor = EmptyForm(), current_actor()
    if not form.validate():
        return responses.invalid("admin/change_new.html", form=form)
    with transaction(session()):
        draft = drafts.start_draft(session(), actor=actor)
    return responses.done(url_for("changes.draft", draft=draft.id))


@bp.get("/drafts/<draft>")
def draft(draft: str) -> Response:
    row = drafts.get_draft(session(), draft)
    drafts.must_be_open(row)
    base = drafts.find_base(session(), row.content)
    looked = {"base_size": signed_log(session()).size, "base_at": clock.timestamp()}
    form = DraftForm(data={**form_data(row.content), **looked})
    return responses.page(
        EDITOR,
        draft=row,
        form=form.offer(list_replaceable(session())),
        grid=make_grid(base, draft_values(row.content, base), {}),
        outlook=drafts.find_outlook(session(), row.content),
        moved=drafts.list_moves(session(), row),
        errors={},
    )


@bp.post("/drafts/<draft>")
def save_draft(draft: str) -> Response:
    actor = current_actor()
    with transaction(session()):
        row = drafts.get_draft(session(), draft, for_update=True)
        typed = _typed(row)
        if not typed.is_valid:
            return _editor_again(row, typed, status=422)
        size = typed.form.base_size.data
        drafts.save_draft(session(), actor=actor, draft=row, content=typed.content, base_size=size)
    return responses.done(url_for("changes.draft", draft=draft), message="The draft is saved.")


@bp.get("/drafts/<draft>/preview")
def read_draft(draft: str) -> Response:
    """The draft as readers will see it once it is published."""
    row = drafts.get_draft(session(), draft)
    drafts.must_be_open(row)
    return responses.page(
        "admin/change_preview.html",
        draft=row,
        outlook=drafts.find_outlook(session(), row.content),
        page=drafts.find_preview(session(), row.content),
    )


@bp.post("/drafts/<draft>/preview")
def preview(draft: str) -> Response:
    """What the editor's content would do; nothing is saved."""
    row = drafts.get_draft(session(), draft)
    drafts.must_be_open(row)
    typed = _typed(row)
    return _editor_again(row, typed, status=200 if typed.is_valid else 422)


@bp.get("/drafts/<draft>/publish")
def confirm_publish(draft: str) -> Response:
    return responses.page("admin/change_publish.html", **_publish_values(draft, EmptyForm()))


@bp.post("/drafts/<draft>/publish")
def publish(draft: str) -> Response:
    form, actor = EmptyForm(), current_actor()
    if not form.validate():
        return _publish_again(draft, form)
    try:
        with log_transaction(session(), sessions(), settings=settings(), actor=actor):
            row = drafts.get_draft(session(), draft, for_update=True)
            change = drafts.publish_draft(session(), actor=actor, draft=row)
    except (Invalid, Conflict) as error:
        form.refuse(error.public)
        return _publish_again(draft, form)
    to = url_for("change_page.change", number=change.number)
    return responses.done(to, message=f"Change {change.number} is published and signed.")


@bp.get("/drafts/<draft>/discard")
def confirm_discard(draft: str) -> Response:
    row = drafts.get_draft(session(), draft)
    drafts.must_be_open(row)
    return responses.page(
        "admin/change_discard.html",
        fragment="admin/_change_discard.html",
        draft=row,
        form=EmptyForm(),
    )


@bp.post("/drafts/<draft>/discard")
def discard_draft(draft: str) -> Response:
    form, actor = EmptyForm(), current_actor()
    with transaction(session()):
        row = drafts.get_draft(session(), draft, for_update=True)
        if not form.validate():
            return responses.invalid(
                "admin/change_discard.html",
                fragment="admin/_change_discard.html",
                draft=row,
                form=form,
            )
        drafts.discard_draft(session(), actor=actor, draft=row)
    return responses.done(url_for("changes.changes"), message="The draft is discarded.")


def _typed(row: ChangeDraft) -> Typed:
    form = DraftForm().offer(list_replaceable(session()))
    is_valid = form.validate()
    # NUL is no character of any text, and PostgreSQL keeps none.
    values = {name: text.replace("\0", "") for name, text in request.form.items()}
    base = drafts.find_base(session(), row.content, size=form.base_size.data, at=form.base_at.data)
    reading = read_values(values, base)
    return Typed(form, values, reading, is_valid and not reading.errors)


def _editor_again(row: ChangeDraft, typed: Typed, *, status: int) -> Response:
    form = typed.form
    base = drafts.find_base(session(), row.content, size=form.base_size.data, at=form.base_at.data)
    return responses.page(
        EDITOR,
        fragment=OUTLOOK,
        status=status,
        draft=row,
        form=form,
        grid=make_grid(base, typed.values, typed.reading.errors),
        outlook=drafts.find_outlook(session(), typed.content),
        moved=(),
        errors=typed.errors,
    )


def _publish_values(draft: str, form: EmptyForm) -> dict[str, Any]:
    row = drafts.get_draft(session(), draft)
    drafts.must_be_open(row)
    return {
        "draft": row,
        "form": form,
        "outlook": drafts.find_outlook(session(), row.content),
        "moved": drafts.list_moves(session(), row),
    }


def _publish_again(draft: str, form: EmptyForm) -> Response:
    # Read afresh: what was loaded before went with its transaction.
    values = _publish_values(draft, form)
    return responses.invalid(
        "admin/change_publish.html", fragment="admin/_change_publish.html", **values
    )
