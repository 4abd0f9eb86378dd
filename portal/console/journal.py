"""The organisation's journal: who did what with its members, keys and tier, and from where."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request, stream_with_context, url_for

from portal.accounts.login import current_actor
from portal.console.forms import JournalForm
from portal.core import clock
from portal.core.errors import NotFound
from portal.journal import exports, queries
from portal.journal.models import Event
from portal.journal.queries import Asked
from portal.journal.words import Kind, words
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org
from portal.web import responses
from portal.web.session import session, sessions

bp = Blueprint("journal", __name__, url_prefix="/orgs/<org>")

Export = Callable[[Iterable[Event]], Iterator[str]]
EXPORTS: dict[str, tuple[str, Export]] = {
    "csv": ("text/csv; charset=utf-8", exports.as_csv),
    "jsonl": ("application/x-ndjson; charset=utf-8", exports.as_json_lines),
}


@bp.get("/journal")
def journal(org: str) -> Response:
    found = _org(org)
    form = JournalForm(request.args).offer(queries.list_actors(session(), found.id))
    is_valid = form.validate()
    answer = responses.page if is_valid else responses.invalid
    asked = _asked(form) if is_valid else Asked()
    cursor = request.args.get("page")
    page = queries.get_journal_page(session(), org_id=found.id, asked=asked, cursor=cursor)
    kept = _kept(form) if is_valid else {}

    def at(cursor: str | None) -> str | None:
        return cursor and url_for("journal.journal", org=found.slug, **kept, page=cursor)

    return answer(
        "console/journal.html",
        fragment="console/_journal.html",
        org=found,
        form=form,
        events=page.items,
        newer=at(page.before),
        older=at(page.after),
        is_all=asked == Asked(),
        head=queries.find_head(session(), found.id),
        exports={
            suffix: url_for("journal.export", org=found.slug, suffix=suffix, **kept)
            for suffix in EXPORTS
        },
        words=words,
        address_shown=exports.address_shown,
    )


@bp.get("/journal.<suffix>")
def export(org: str, suffix: str) -> Response:
    """All that the filter finds, sent as it is read."""
    found = _org(org)
    if suffix not in EXPORTS:
        raise NotFound
    form = JournalForm(request.args).offer(queries.list_actors(session(), found.id))
    if not form.validate():
        raise NotFound
    content_type, write = EXPORTS[suffix]
    events = queries.stream_events(sessions(), org_id=found.id, asked=_asked(form))
    response = Response(stream_with_context(write(events)), content_type=content_type)
    name = f"journal-{found.slug}-{clock.now():%Y-%m-%d}.{suffix}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _org(slug: str) -> Org:
    return get_org(session(), current_actor(), slug, needs=Permission.SEE_JOURNAL)


def _asked(form: JournalForm) -> Asked:
    return Asked(
        kind=Kind(form.kind.data) if form.kind.data else None,
        actor_id=form.who.data,
        start=_instant(form.since.data),
        end=_instant(form.before.data),
    )


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _kept(form: JournalForm) -> dict[str, Any]:
    return {name: value for name in form.data if (value := request.args.get(name))}
