"""Reading what gateways send: strict about shape, with an error for each thing that can be wrong."""

import re
from collections.abc import Iterable
from typing import Any

from flask import Request

from plimsoll.contract import canonical
from plimsoll.contract.records import WIRE_VERSION, Cursor, MalformedCursor
from portal.core.errors import Invalid
from portal.sync.commands import Report
from portal.sync.errors import BadToken, CursorMalformed, TooOld

_VERSION = re.compile("[0-9]{1,4}")
NACK_FIELDS = {"kind", "id", "code", "text"}
REVISION_DIGITS = 15
LOG_KINDS = {"checkpoint", "entry"}
TEXT_MAX = 200
# PostgreSQL keeps no NUL in a text; an error's own text may well have several lines.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def read_token(request: Request) -> str:
    """The bearer token. Raises TooOld, BadToken."""
    # A gateway of a newer release reads what this one sends: it is upgraded before its portal.
    spoken = _VERSION.fullmatch(request.headers.get("Sync-Version", ""))
    if spoken is None or int(spoken[0]) < WIRE_VERSION:
        raise TooOld
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.isascii():
        raise BadToken
    return token.strip()


def read_cursor(text: str | None) -> Cursor | None:
    """The cursor, None where none is sent. Raises CursorMalformed."""
    if not text:
        return None
    try:
        return Cursor.parse(text)
    except MalformedCursor as error:
        raise CursorMalformed from error


def read_at_least(text: str | None) -> int:
    """The revision that a snapshot may not be older than, 0 where none is sent."""
    is_number = text and text.isascii() and text.isdigit() and len(text) <= REVISION_DIGITS
    return int(text) if text and is_number else 0


def read_report(request: Request) -> Report:
    """A report. Raises Invalid with the field that is wrong."""
    try:
        body = canonical.read(request.get_data())
    except canonical.NotCanonical as error:
        raise Invalid(
            "Send JSON as the log has it: no fractions, no halves of characters."
        ) from error
    if not isinstance(body, dict):
        raise Invalid("Send a JSON object.")
    cursor, nacks, health = body.get("cursor"), body.get("nacks", []), body.get("health", {})
    if cursor is not None and not isinstance(cursor, str):
        raise Invalid("A text is expected.", field="cursor")
    if not isinstance(nacks, list) or not all(_is_nack(nack) for nack in nacks):
        raise Invalid("A list of kind, id, code and text is expected.", field="nacks")
    if not isinstance(health, dict):
        raise Invalid("An object is expected.", field="health")
    _refuse_control("nacks", (text for nack in nacks for text in nack.values()))
    _refuse_control("health", (text for pair in health.items() for text in pair))
    cut = [{name: text[:TEXT_MAX] for name, text in nack.items()} for nack in nacks]
    kept = _complaints(cut) | _plain(health)
    return Report(cursor=read_cursor(cursor), nacks=cut, health=kept)


def _is_nack(nack: Any) -> bool:
    return (
        isinstance(nack, dict)
        and nack.keys() == NACK_FIELDS
        and all(isinstance(value, str) for value in nack.values())
    )


def _refuse_control(field: str, texts: Iterable[object]) -> None:
    if any(isinstance(text, str) and _CONTROL.search(text) for text in texts):
        raise Invalid("Leave out control characters.", field=field)


def _complaints(nacks: list[dict[str, str]]) -> dict[str, Any]:
    """How the log stands by the last complaint of this report, for who does not say it in `health`.

    Of this one alone: so it ends with a report that complains no more.
    """
    codes = [nack["code"] for nack in nacks if nack["kind"] in LOG_KINDS]
    return {"log": codes[-1]} if codes else {}


def _plain(health: dict[str, Any]) -> dict[str, Any]:
    """Only short texts and numbers: this is shown on a page, and another program wrote it."""
    return {
        str(name)[:40]: value[:TEXT_MAX] if isinstance(value, str) else value
        for name, value in list(health.items())[:40]
        if value is None or isinstance(value, str | int | bool)
    }
