"""Reading a batch of a gateway: strict about shape, and about each row (EXACT 27, 28)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from portal.core.errors import Invalid
from portal.usage.models import ID_MAX, MODEL_MAX, NAME_MAX

BOUND = 2**53
# A gateway counts by the portal's clock; a day is more than any clock of its own may be off.
AHEAD_SECONDS = 86_400
ROWS_MAX = 10_000
NAMES_MAX = 200
MINUTE = 60
_COUNTS = frozenset({"requests", "input_tokens", "output_tokens", "refused"})
_COUNTER = ("used", "quota", "at")
_FREE = ("full_at", "resets_at")
_NOTHING: Mapping[str, int] = {}


class Row(NamedTuple):
    """What one key took of one model ("" without one) in one minute."""

    key_id: str
    model: str
    minute: int
    requests: int
    input_tokens: int
    output_tokens: int
    refused: Mapping[str, int]


class Reading(NamedTuple):
    """How a gateway's counter of a limit stands. `owner`: an organisation, or a key's lineage."""

    owner: str
    name: str
    used: int
    quota: int
    at: int
    full_at: int | None
    resets_at: int | None


class BadRow(Exception):
    """A batch that cannot be added: the row that is to blame (None where it is no row), and why."""

    def __init__(self, row: int | None, code: str) -> None:
        super().__init__(f"row {row}: {code}")
        self.row = row
        self.code = code


@dataclass(frozen=True)
class Batch:
    """A batch with a place in the order of batches; `bad` says why it cannot be added."""

    boot: int
    seq: int
    until: int
    rows: list[Row]
    counters: list[Reading]
    bad: BadRow | None = None


def read_batch(data: bytes, *, now: int) -> Batch:
    """A batch from its bytes, all of it before a transaction is opened that others would wait for.

    Raises Invalid where it has no place in the order, so that nothing can advance.
    """
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Invalid("Send JSON.") from error
    if not isinstance(body, dict):
        raise Invalid("Send a JSON object.")
    for name in ("boot", "seq", "from", "to"):
        if not _are_whole(body.get(name)) or body[name] < 1:
            raise Invalid("A whole number from 1 is expected.", field=name)
    place = (body["boot"], body["seq"], body["to"])
    rows, counters = (_lines(body, name) for name in ("rows", "counters"))
    try:
        return Batch(*place, _rows(rows, now=now), _counters(counters))
    except BadRow as bad:
        return Batch(*place, [], [], bad)


def _lines(body: dict[str, Any], name: str) -> list[Any]:
    lines = body.get(name, [])
    if not isinstance(lines, list) or len(lines) > ROWS_MAX:
        raise Invalid(f"A list of at most {ROWS_MAX:,} is expected.", field=name)
    return lines


def _rows(lines: list[Any], *, now: int) -> list[Row]:
    rows = []
    for number, raw in enumerate(lines):
        try:
            row = _row(raw)
        except (AttributeError, TypeError, ValueError) as error:
            raise BadRow(number, "row_invalid") from error
        if row.minute > now + AHEAD_SECONDS:
            raise BadRow(number, "minute_ahead")
        rows.append(row)
    return rows


def _counters(lines: list[Any]) -> list[Reading]:
    try:
        return [_reading(*raw) for raw in lines]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRow(None, "counters_invalid") from error


def _row(raw: Any) -> Row:
    # Thousands a second come by here, so that one expression asks all, in few calls.
    key_id, model, counts, minute = raw
    get = counts.get
    requests, taken, made = get("requests", 0), get("input_tokens", 0), get("output_tokens", 0)
    refused = get("refused", _NOTHING)
    if not (
        _is_text(key_id, ID_MAX)
        and (model is None or _is_text(model, MODEL_MAX))
        and counts.keys() <= _COUNTS
        and _are_whole(requests, taken, made, minute)
        and minute >= 0
        and not minute % MINUTE
        and (refused is _NOTHING or _is_refusals(refused))
    ):
        raise ValueError
    return Row(key_id, model or "", minute, requests, taken, made, refused)


def _is_refusals(refused: Any) -> bool:
    return (
        isinstance(refused, dict)
        and len(refused) <= NAMES_MAX
        and all(_is_text(name, NAME_MAX) for name in refused)
        and _are_whole(*refused.values())
    )


def _reading(owner: Any, name: Any, fields: Any) -> Reading:
    used, quota, at = (fields[each] for each in _COUNTER)
    free = [fields.get(each) for each in _FREE]
    known = [each for each in free if each is not None]
    if not (
        _is_text(owner, ID_MAX) and _is_text(name, NAME_MAX) and _are_whole(used, quota, at, *known)
    ):
        raise ValueError
    return Reading(owner, name, used, quota, at, *free)


def _is_text(value: Any, longest: int) -> bool:
    # PostgreSQL takes no NUL, and an index no empty name.
    return isinstance(value, str) and 0 < len(value) <= longest and "\0" not in value


def _are_whole(*values: Any) -> bool:
    for each in values:  # noqa: SIM110 -- a generator takes three times as long
        if type(each) is not int or not -BOUND < each < BOUND:
            return False
    return True
