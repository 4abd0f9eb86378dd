"""What the API takes and gives about keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.keys.models import ApiKey, Environment, KeyState
from portal.keys.policy import GRACE_MAX_SECONDS, NETWORKS_MAX
from portal.keys.queries import PAGE, FullKey
from portal.web.filters import iso
from portal.web.forms import REASON_MAX
from portal.web.shapes import (
    Field,
    Instant,
    Many,
    OneOf,
    OrNull,
    Prose,
    Schema,
    Text,
    Thing,
    Whole,
)


@dataclass(frozen=True)
class Period:
    """As limits have it: seconds, a calendar month, or none for what counts at one moment."""

    def schema(self) -> Schema:
        return {"type": ["integer", "string", "null"]}

    def read(self, value: Any) -> Any:
        return value


CAP = Thing(
    "Cap",
    {
        "model": Field(Text(), "A model, or * for all together."),
        "metric": Field(Text()),
        "kind": Field(Text()),
        "period": Field(Period(), "Seconds, `month`, or null for concurrency."),
        "quota": Field(Whole(0, 2**53 - 1)),
        "burst": Field(OrNull(Whole(0, 2**53 - 1)), "Of a bucket; null for other kinds."),
    },
)
KEY = Thing(
    "Key",
    {
        "id": Field(Text()),
        "org": Field(Text(), "The id of its organisation."),
        "name": Field(Prose()),
        "environment": Field(OneOf(Environment)),
        "state": Field(OneOf(KeyState)),
        "prefix": Field(Text(), "How the secret begins."),
        "last_four": Field(Text(), "How it ends."),
        "models": Field(OrNull(Many(Text())), "null: every model that the tier offers."),
        "networks": Field(OrNull(Many(Text())), "null: from anywhere."),
        "caps": Field(Many(CAP)),
        "issued_by": Field(
            Text(400), "A person's address, or the name of an organisation's token."
        ),
        "created_at": Field(Instant()),
        "expires_at": Field(OrNull(Instant()), "null: never by itself."),
        "last_used_at": Field(OrNull(Instant())),
        "paused_at": Field(OrNull(Instant())),
        "revoked_at": Field(OrNull(Instant())),
        "revoked_reason": Field(OrNull(Text(REASON_MAX))),
        "successor": Field(OrNull(Text()), "The key that took its place, where it was rotated."),
        "lineage": Field(Text(), "The first key of its rotations: what caps are counted by."),
    },
)
KEYS = Thing(
    "Keys",
    {
        "keys": Field(Many(KEY, most=PAGE)),
        "next": Field(OrNull(Text(500)), "The cursor of the next page; null on the last."),
    },
)
ISSUED = Thing(
    "IssuedKey",
    {"key": Field(KEY), "secret": Field(Text(), "Shown this once; we keep only a digest of it.")},
)
NEW_KEY = Thing(
    "NewKey",
    {
        "name": Field(Prose(), "No other key that is not revoked has it, whatever the case."),
        "environment": Field(OneOf(Environment), required=False, absent=Environment.LIVE),
        "expires_at": Field(OrNull(Instant()), "null: never by itself.", required=False),
        "models": Field(
            OrNull(Many(Text(), most=1000)), "null or none: any of the tier's.", required=False
        ),
        "networks": Field(
            OrNull(Many(Text(), most=NETWORKS_MAX)),
            "In CIDR form; null or none: from anywhere.",
            required=False,
        ),
    },
)
NEW_NAME = Thing("NewName", {"name": Field(Prose())})
ROTATION = Thing(
    "Rotation",
    {
        "grace_seconds": Field(Whole(0, GRACE_MAX_SECONDS), "For how long the old secret goes on."),
        "expires_at": Field(
            OrNull(Instant()), "Of the new key; null: as long a life as the old.", required=False
        ),
    },
)
REVOCATION = Thing("Revocation", {"reason": Field(Prose(REASON_MAX, is_line=False))})

ORG = {
    "org": Field(
        Text(), "Its address (slug) or id. A token of an organisation needs none.", required=False
    )
}
LIST = ORG | {
    "state": Field(OneOf(KeyState), required=False),
    "environment": Field(OneOf(Environment), required=False),
    "q": Field(Text(80), "A part of the name, or how a secret begins or ends.", required=False),
    "limit": Field(Whole(1, PAGE), "Keys a page.", required=False, absent=50),
    "cursor": Field(Text(500), "What `next` said of the page before.", required=False),
}


def shown(found: FullKey) -> dict[str, Any]:
    """A key as the API gives it."""
    key = found.key
    return {
        "id": key.id,
        "org": key.org_id,
        "name": key.name,
        "environment": key.environment.value,
        "state": key.state(found.at).value,
        "prefix": key.prefix,
        "last_four": key.last_four,
        "models": key.models,
        "networks": key.networks,
        "caps": key.caps,
        "issued_by": found.issued_by,
        **_instants(key),
        "last_used_at": _at(found.used_at),
        "revoked_reason": key.revoked_reason,
        "successor": key.successor_id,
        "lineage": key.lineage,
    }


def _instants(key: ApiKey) -> dict[str, str | None]:
    names = ("created_at", "expires_at", "paused_at", "revoked_at")
    return {name: _at(getattr(key, name)) for name in names}


def _at(value: datetime | None) -> str | None:
    return iso(value) if value else None
