"""Pure rules about access tokens."""

from datetime import datetime, timedelta

from portal.core.errors import Invalid
from portal.orgs.models import Role
from portal.orgs.policy import Scope

USUAL_LIFE = timedelta(days=90)
# Each note is a write, and a program may call many times a second.
USED_EVERY = timedelta(minutes=5)
# An organisation is owned by people.
TOKEN_ROLES = tuple(role for role in Role if role is not Role.OWNER)

SCOPE_WORDS = {
    Scope.KEYS_READ: "see keys",
    Scope.KEYS_WRITE: "issue, rename, pause, resume, rotate and revoke keys",
    Scope.USAGE_READ: "see usage",
    Scope.ORG_MANAGE: "manage members, settings and alerts, and read the journal",
}


def must_be_ahead(expires_at: datetime | None, *, at: datetime) -> None:
    """Raises Invalid for an end that is over already."""
    if expires_at is not None and expires_at <= at:
        raise Invalid("This instant is past. Choose a later one.", field="expires_at")


def must_be_token_role(role: Role) -> None:
    """Raises Invalid for a role that only people hold."""
    if role not in TOKEN_ROLES:
        raise Invalid("Only people own an organisation.", field="role")


def beginning(brand: str, *, is_org: bool) -> str:
    """What a token begins with: never as an API key does, so that neither is taken for the other."""
    return f"{brand}oat_" if is_org else f"{brand}pat_"


def beginnings(brand: str) -> tuple[str, str]:
    return beginning(brand, is_org=False), beginning(brand, is_org=True)
