"""All that the portal keeps about one person, as a file of theirs."""

import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, stream_with_context

from portal.accounts.confirm import ProofForm
from portal.accounts.login import current_actor, signed_in
from portal.accounts.queries import get_user
from portal.console.own_data_parts import PARTS
from portal.core import clock
from portal.core.db import transaction
from portal.journal.commands import record
from portal.web import responses
from portal.web.session import session, sessions

bp = Blueprint("own_data", __name__, url_prefix="/account/data")


@bp.get("")
def own_data() -> Response:
    return responses.page("console/own_data.html", form=ProofForm())


@bp.post("")
def export() -> Response:
    """A file, so there is no fragment of it: the form has no htmx."""
    form, person = ProofForm(), signed_in()
    form.prove()
    if not form.validate():
        return responses.invalid("console/own_data.html", form=form)
    with transaction(session()):
        user = get_user(session(), person.user_id)
        record(session(), current_actor(), "user:data:exported", subject_id=user.id)
    text = stream_with_context(_written(person.user_id))
    response = Response(text, content_type="application/json; charset=utf-8")
    name = f"plimsoll-account-{clock.now():%Y-%m-%d}.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _written(user_id: str) -> Iterator[str]:
    """One JSON object, written as it is read: a list of acts may be long."""
    yield "{"
    for number, (name, read) in enumerate(PARTS.items()):
        yield f"{',' if number else ''}\n  {json.dumps(name)}: "
        with sessions()() as own:
            yield from _as_json(read(own, user_id))
    yield "\n}\n"


def _as_json(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        yield json.dumps(found, ensure_ascii=False)
        return
    yield "["
    for number, row in enumerate(found):
        yield f"{',' if number else ''}\n    {json.dumps(row, ensure_ascii=False)}"
    yield "\n  ]"
