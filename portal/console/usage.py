"""Usage: the limits as load lines, and use over time. It needs usage and sync, so it lives above both."""

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request, url_for
from sqlalchemy.orm import Session

from portal.accounts.login import current_actor
from portal.console.hearing import get_hearing
from portal.core import clock
from portal.core.db import snapshot
from portal.core.errors import NotFound
from portal.orgs.models import Org
from portal.orgs.policy import Permission
from portal.orgs.queries import get_org
from portal.usage.alerts import open_warnings
from portal.usage.forms import HistoryForm
from portal.usage.history import Asked, get_history, list_key_names, list_models, rows_of
from portal.usage.shown import get_meter, name_warnings
from portal.web import responses
from portal.web.filters import iso
from portal.web.session import session, sessions

bp = Blueprint("usage", __name__, url_prefix="/orgs/<org>")

# A look every few seconds while something moves; where nothing does, less and less often.
LOOK_SECONDS, LOOK_MAX_SECONDS = 5, 60
COLUMNS = ("from", "seconds", "name", "id", "requests", "refused", "input_tokens", "output_tokens")
# How a spreadsheet knows a formula, which could then send the file elsewhere.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@bp.get("/usage")
def usage(org: str) -> Response:
    found = get_org(session(), current_actor(), org, needs=Permission.SEE_USAGE)
    if "seen" in request.args and responses.wants_fragment():
        return responses.page("usage/_load_lines.html", **_now(found))
    keys = list_key_names(session(), found.id)
    form = _form(keys)
    is_valid = form.validate()
    asked = form.asked() if is_valid else Asked()
    answer = responses.page if is_valid else responses.invalid
    now = _now(found)
    limits = now["meter"].limits
    with _still() as still:
        history = get_history(still, found.id, asked, keys=keys, limits=limits)
    return answer(
        "usage/usage.html",
        fragment="usage/_history.html",
        **now,
        form=form,
        history=history,
        was_too_fine=asked.is_too_fine,
        csv_url=f"{url_for('usage.export', org=found.slug)}?{_query(asked)}",
        warnings=name_warnings(session(), open_warnings(session(), found.id)),
    )


@bp.get("/usage.csv")
def export(org: str) -> Response:
    """What the charts show, as a file."""
    found = get_org(session(), current_actor(), org, needs=Permission.SEE_USAGE)
    keys = list_key_names(session(), found.id)
    form = _form(keys)
    if not form.validate():
        raise NotFound
    asked = form.asked()
    response = Response("".join(_lines(found, asked, keys)), content_type="text/csv; charset=utf-8")
    name = f"usage-{found.slug}-{asked.shown.length.value}-{clock.now():%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _form(keys: Mapping[str, str]) -> HistoryForm:
    return HistoryForm(request.args).offer(models=list_models(session()), keys=keys)


@contextmanager
def _still() -> Iterator[Session]:
    """A session of its own, since the request's has begun to read, for figures that jobs move meanwhile."""
    with sessions()() as session, snapshot(session):
        yield session


def _query(asked: Asked) -> str:
    fields = {"span": asked.length.value, "by": asked.by.value, "model": asked.model or ""}
    return urlencode({**fields, "key": asked.keys}, doseq=True)


def _now(org: Org) -> dict[str, Any]:
    """The meter, and when to look again: later where the last look saw the same."""
    meter, hearing = get_meter(session(), org.id), get_hearing(session())
    last = request.args.get("wait", 0, type=int)
    is_same = request.args.get("seen") == meter.state
    wait = min(max(last, LOOK_SECONDS) * 2, LOOK_MAX_SECONDS) if is_same else LOOK_SECONDS
    again = url_for("usage.usage", org=org.slug, seen=meter.state, wait=wait)
    return {"org": org, "meter": meter, "hearing": hearing, "again": again, "wait": wait}


def _lines(org: Org, asked: Asked, keys: Mapping[str, str]) -> Iterator[str]:
    step = asked.shown.slots().step
    yield _line(COLUMNS)
    with _still() as still:
        rows = list(rows_of(still, org.id, asked, keys=keys))
    for at, name, line_id, figures in rows:
        counts = (figures.requests, figures.refused, figures.input_tokens, figures.output_tokens)
        yield _line((iso(at), step, _harmless(name), _harmless(line_id), *counts))


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _line(values: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()
