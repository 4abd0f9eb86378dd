"""The notice policy as a file or a form gives it. Pure."""

from collections.abc import Mapping
from typing import Any, TypedDict

from plimsoll.contract import canonical
from plimsoll.contract.acts import DEFAULT_NOTICE
from plimsoll.contract.draft import parse_draft
from plimsoll.contract.limits import InvalidField, require_fields, require_whole
from portal.changelog.errors import BadChange

_REQUIRED = frozenset({"notice", "reason"})
_OPTIONAL = frozenset({"effective_at"})

# The fields in the order of the table of LIMITS 2, with their names for people.
NOTICE_TITLES: Mapping[str, str] = {
    "tightening_seconds": "Notice before a tightening",
    "retirement_seconds": "Notice before a tier or an offer is retired",
    "released_seconds": "Least notice of a tightening that was held, from its release",
    "delivery_percent": "Owners who must have been handed the mail, per cent",
    "delivery_seconds": "Time in which they must have been handed it",
    "emergency_seconds": "Longest emergency cut",
    "emergency_extensions": "How often an emergency cut may be extended",
    "emergency_pause_seconds": "Rest for the same limits after an extended one",
}
assert NOTICE_TITLES.keys() == DEFAULT_NOTICE.keys()  # noqa: S101 -- a new field needs a name


class AskedPolicy(TypedDict):
    """What `change_policy` takes."""

    notice: dict[str, int]
    reason: str
    effective_at: int | None


def read_policy(data: bytes | str) -> AskedPolicy:
    """The policy in the JSON text of a file. Raises BadChange with the path of the field."""
    try:
        return _parse(canonical.read(data))
    except InvalidField as error:
        raise BadChange(str(error), field=error.path) from error
    except canonical.NotCanonical as error:
        raise BadChange(f"The file cannot be read as JSON: {error}.") from error


def _parse(value: Any) -> AskedPolicy:
    fields = require_fields(value, "", required=_REQUIRED, optional=_OPTIONAL)
    known = frozenset(DEFAULT_NOTICE)
    notice = require_fields(fields["notice"], "notice", required=frozenset(), optional=known)
    # Reason and instant have the form that they have in a file of a change.
    words = {"title": "-", "reason": fields["reason"], "effective_at": fields.get("effective_at")}
    draft = parse_draft(words)
    return AskedPolicy(
        notice={name: require_whole(each, f"notice.{name}") for name, each in notice.items()},
        reason=draft.reason,
        effective_at=draft.effective_at,
    )
