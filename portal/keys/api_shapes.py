"""What the API takes and gives about keys."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from portal.keys.models import ApiKey, Environment, KeyState
from portal.keys.policy import GRACE_MAX_SECONDS, NETWORKS_MAX
from portal.keys.queries import PAGE, FullKey
from portal.web.filters import iso
from portal.web.forms import REASON_MAX
from portal.web.shapes import WHOLE, Instant, Name, Prose, Shape, Text

ShortText = Annotated[Text, Field(max_length=200)]
# As limits have it: seconds, a calendar month, or none for what counts at one moment.
Period = Annotated[
    int | Literal["month"] | None, Field(description="Seconds, `month`, or null for concurrency.")
]
Amount = Annotated[int, Field(ge=0, le=2**53 - 1), WHOLE]


class Cap(Shape):
    """A limit that an organisation set on its own key."""

    model: str = Field(description="A model, or * for all together.")
    metric: str
    kind: str
    period: Period
    quota: Amount
    burst: Amount | None = Field(description="Of a bucket; null for other kinds.")


class Key(Shape):
    """A key without its secret."""

    id: str
    org: str = Field(description="The id of its organisation.")
    name: Name
    environment: Environment
    state: KeyState
    prefix: str = Field(description="How the secret begins.")
    last_four: str = Field(description="How it ends.")
    models: list[str] | None = Field(description="null: every model that the tier offers.")
    networks: list[str] | None = Field(description="null: from anywhere.")
    caps: list[Cap]
    issued_by: str = Field(
        description="A person's address, or the name of an organisation's token."
    )
    created_at: Instant
    expires_at: Instant | None = Field(description="null: never by itself.")
    last_used_at: Instant | None
    paused_at: Instant | None
    revoked_at: Instant | None
    revoked_reason: str | None
    successor: str | None = Field(description="The key that took its place, where it was rotated.")
    lineage: str = Field(description="The first key of its rotations: what caps are counted by.")


class Keys(Shape):
    """A page of keys, newest first."""

    keys: Annotated[list[Key], Field(max_length=PAGE)]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class IssuedKey(Shape):
    """A key that is new, with its secret."""

    key: Key
    secret: str = Field(description="Shown this once; we keep only a digest of it.")


class NewKey(Shape):
    """A key to be issued."""

    name: Name = Field(description="No other key that is not revoked has it, whatever the case.")
    environment: Environment = Environment.LIVE
    expires_at: Instant | None = Field(None, description="null: never by itself.")
    models: Annotated[list[ShortText], Field(max_length=1000)] | None = Field(
        None, description="null or none: any of the tier's."
    )
    networks: Annotated[list[ShortText], Field(max_length=NETWORKS_MAX)] | None = Field(
        None, description="In CIDR form; null or none: from anywhere."
    )


class NewName(Shape):
    """What a key is to be called."""

    name: Name


class NewSecret(Shape):
    """How a key is to be rotated."""

    grace_seconds: Annotated[int, Field(ge=0, le=GRACE_MAX_SECONDS), WHOLE] = Field(
        description="For how long the old secret goes on."
    )
    expires_at: Instant | None = Field(
        None, description="Of the new key; null: as long a life as the old."
    )


class Revocation(Shape):
    """Why a key is revoked."""

    reason: Annotated[Prose, Field(max_length=REASON_MAX)]


class OrgNamed(Shape):
    """Which organisation is meant."""

    org: ShortText | SkipJsonSchema[None] = Field(
        default_factory=lambda: None,
        description="Its address (slug) or id. A token of an organisation needs none.",
    )


class Listing(OrgNamed):
    """Which keys are to be listed."""

    state: KeyState | SkipJsonSchema[None] = Field(default_factory=lambda: None)
    environment: Environment | SkipJsonSchema[None] = Field(default_factory=lambda: None)
    q: Annotated[Text, Field(max_length=80)] = Field(
        "", description="A part of the name, or how a secret begins or ends."
    )
    limit: Annotated[int, Field(ge=1, le=PAGE)] = Field(50, description="Keys a page.")
    cursor: Annotated[Text, Field(max_length=500)] | SkipJsonSchema[None] = Field(
        default_factory=lambda: None, description="What `next` said of the page before."
    )


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
