"""The journal as files: CSV for spreadsheets, JSON lines for programs. Both can be checked by strangers.

In a JSON line `hash` is the SHA-256 of the canonical JSON of `hashed`, whose `previous` is the hash of the row
before.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from portal.journal.chain import HASHED, hashed
from portal.journal.models import Event
from portal.journal.words import words
from portal.web.filters import iso

COLUMNS = (
    "row",
    "time",
    "what",
    "tag",
    "who",
    "who_id",
    "is_staff",
    "via",
    "from",
    "subject",
    "details",
    "previous",
    "hash",
)
# How a spreadsheet knows a formula, which could then send the file elsewhere.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def address_shown(event: Event) -> str | None:
    """From where an act came; the staff's own network is nobody else's business."""
    return None if event.is_staff else event.ip


def as_json_lines(events: Iterable[Event]) -> Iterator[str]:
    for event in events:
        fields = {name: getattr(event, name) for name in HASHED}
        line = {
            "time": iso(event.at),
            "what": words(event.tag),
            "who": event.actor_name or None,
            "from": address_shown(event),
            "personal": event.personal or {},
            "hash": event.hash,
            "hashed": hashed(fields),
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


def as_csv(events: Iterable[Event]) -> Iterator[str]:
    yield _row(COLUMNS)
    for event in events:
        details = json.dumps(event.told, ensure_ascii=False, sort_keys=True)
        yield _row(
            (
                event.seq,
                iso(event.at),
                words(event.tag),
                event.tag,
                event.actor_name,
                event.actor_id,
                "yes" if event.is_staff else "no",
                event.via,
                address_shown(event),
                event.subject_id,
                details,
                event.previous,
                event.hash,
            )
        )


def _row(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_tame(value) for value in values])
    return line.getvalue()


def _tame(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
