"""Who may do what in an organisation: one table, for pages and commands alike. And how a slug is made."""

import re
import unicodedata
from enum import StrEnum

from portal.core.errors import Forbidden
from portal.orgs.models import Role

SLUG_MAX = 40


class Permission(StrEnum):
    SEE_ORG = "see_org"
    SEE_KEYS = "see_keys"
    ISSUE_KEY = "issue_key"
    REVOKE_KEY = "revoke_key"
    REQUEST_UPGRADE = "request_upgrade"


ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.MANAGER: frozenset(Permission),
    # To ask for another tier is to speak for the organisation.
    Role.DEVELOPER: frozenset(Permission) - {Permission.REQUEST_UPGRADE},
    Role.VIEWER: frozenset({Permission.SEE_ORG, Permission.SEE_KEYS}),
}


def may(role: Role, permission: Permission) -> bool:
    return permission in ALLOWED[role]


def must_be_allowed(role: Role, permission: Permission) -> None:
    """Raises Forbidden."""
    if not may(role, permission):
        raise Forbidden(f"Your role here, {role.value}, does not allow this.")


def slug_from(name: str) -> str:
    """The address form of a name: "Žofie & Co" → "zofie-co"; "org" where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_MAX].strip("-") or "org"
