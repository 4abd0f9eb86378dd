"""How acts read on pages and in exports. A tag without words of its own reads as it is written."""

from enum import StrEnum

from sqlalchemy import ColumnElement, and_, not_, or_

from portal.journal.models import Event

WORDS = {
    "org:created": "Organisation founded",
    "org:renamed": "Organisation renamed",
    "org:moved": "Address of the organisation changed",
    "org:suspended": "Organisation suspended",
    "org:lifted": "Suspension lifted",
    "org:closed": "Organisation closed",
    "org:owners:messaged": "Owners written to",
    "org:ownership:handed_over": "Ownership handed over",
    "org:member:changed": "Role of a member changed",
    "org:key:capped": "Cap set on a key",
    "org:key:uncapped": "Cap taken off a key",
    "org:key:leaked": "Key found in public",
    "org:keys:seen": "List of keys opened",
    "org:key_rules:changed": "Rules for keys changed",
    "org:alerts:changed": "Warnings of use changed",
    "org:tier:cancelled": "Planned tier cancelled",
    "org:grant:over": "Grant ran out",
}


class Kind(StrEnum):
    """What an act is about, as readers look for it."""

    KEYS = "keys"
    MEMBERS = "members"
    TIER = "tier"
    OTHER = "other"
    STAFF = "staff"


KIND_WORDS = {
    Kind.KEYS: "Keys",
    Kind.MEMBERS: "Members and invitations",
    Kind.TIER: "Tier, grants and requests",
    Kind.OTHER: "The organisation itself, and all else",
    Kind.STAFF: "Acts of the provider's staff",
}
_BEGINNINGS = {
    Kind.KEYS: ("org:key", "org:keys:", "org:token"),
    Kind.MEMBERS: ("org:member:", "org:invitation:", "org:ownership:"),
    Kind.TIER: ("org:tier:", "org:grant:", "org:upgrade:"),
}


def words(tag: str) -> str:
    """An act in words: "Key issued"."""
    if tag in WORDS:
        return WORDS[tag]
    said = tag.removeprefix("org:").replace(":", " ").replace("_", " ")
    return said[:1].upper() + said[1:]


def is_of(kind: Kind) -> ColumnElement[bool]:
    """The condition of one kind."""
    if kind is Kind.STAFF:
        return Event.is_staff.is_(True)
    if kind is Kind.OTHER:
        return and_(*(not_(is_of(each)) for each in _BEGINNINGS))
    return or_(*(Event.tag.startswith(each, autoescape=True) for each in _BEGINNINGS[kind]))
