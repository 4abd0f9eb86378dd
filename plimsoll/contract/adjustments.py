"""What an organisation's records say about limits beside its tier: grants raise, caps lower.

LIMITS.md section 1, EXACT.md 12. Both name a limit without its tier and carry a quota, and for
buckets a burst of its own; how they are applied is `Limit.raised` and `Limit.lowered`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from plimsoll.contract.limits import (
    Cell,
    InvalidField,
    Limit,
    Period,
    parse_cell,
    parse_values,
    require_fields,
    require_whole,
)


class Cap(NamedTuple):
    """A lower limit that an organisation set on its own key; `burst` is None for non-buckets."""

    model: str
    metric: str
    kind: str
    period: Period
    quota: int
    burst: int | None

    @classmethod
    def parse(cls, value: object, path: str) -> "Cap":
        """The cap in a key record.

        Raises:
            InvalidField: a field is unknown, missing or wrong.
        """
        limit = _limit(require_fields(value, path, required=_CAP_FIELDS), path)
        cell = limit.cell
        return cls(cell.model, cell.metric, cell.kind.value, cell.period, limit.quota, limit.burst)

    def to_wire(self) -> dict[str, Any]:
        """The fields as sent in a key record."""
        return self._asdict()


class Grant(NamedTuple):
    """A raise of one limit for one organisation, in force for `starts_at` ≤ t < `ends_at`.

    The wire calls the two instants (Unix seconds) `from` and `until`; None means without end.
    """

    id: str
    model: str
    metric: str
    kind: str
    period: Period
    quota: int
    burst: int | None
    starts_at: int
    ends_at: int | None

    @classmethod
    def parse(cls, value: object, path: str) -> "Grant":
        """The grant in an org record.

        Raises:
            InvalidField: a field is unknown, missing or wrong.
        """
        fields = require_fields(value, path, required=_GRANT_FIELDS)
        if not isinstance(fields["id"], str):
            raise InvalidField(f"{path}.id", "must be a text")
        starts_at = require_whole(fields["from"], f"{path}.from")
        ends_at = fields["until"]
        if ends_at is not None:
            require_whole(ends_at, f"{path}.until")
        raised = Cap.parse({name: fields[name] for name in _CAP_FIELDS}, path)
        return cls(fields["id"], *raised, starts_at, ends_at)

    def to_wire(self) -> dict[str, Any]:
        """The fields as sent in an org record."""
        fields = self._asdict()
        fields["from"] = fields.pop("starts_at")
        fields["until"] = fields.pop("ends_at")
        return fields


_CAP_FIELDS = frozenset(Cap._fields)
_GRANT_FIELDS = _CAP_FIELDS | {"id", "from", "until"}


def _limit(fields: Mapping[str, Any], path: str) -> Limit:
    # Caps and grants name no tier; any slug lets the one parser of limits judge the rest.
    cell: Cell = parse_cell({**fields, "tier": "any"}, path)
    return parse_values(fields, path, cell)
