"""Who may do what in an organisation: one table, for pages and commands alike. And how a slug is made."""

import re
import unicodedata
from datetime import datetime, timedelta
from enum import StrEnum

from portal.core.actor import Actor
from portal.core.errors import Forbidden
from portal.orgs.errors import BadSlug, InvitationOver, OutOfScope
from portal.orgs.models import Invitation, Role

SLUG_MAX = 40
INVITATION_LASTS = timedelta(days=7)
# Typed ones may be as long as ours get with what tells two of one name apart.
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?", re.ASCII)
# Addresses of the portal's own below /orgs, and what a name without letters becomes.
RESERVED_SLUGS = frozenset({"new", "org"})


class Permission(StrEnum):
    """What a role may allow. Leaving an organisation asks for none: nobody is kept."""

    SEE_ORG = "see_org"
    MANAGE_ORG = "manage_org"
    MANAGE_MEMBERS = "manage_members"
    HAND_OVER = "hand_over"
    SEE_JOURNAL = "see_journal"
    SEE_KEYS = "see_keys"
    ISSUE_KEY = "issue_key"
    EDIT_KEY = "edit_key"
    ROTATE_KEY = "rotate_key"
    PAUSE_KEY = "pause_key"
    REVOKE_KEY = "revoke_key"
    SEE_USAGE = "see_usage"
    MANAGE_ALERTS = "manage_alerts"
    MANAGE_TOKENS = "manage_tokens"
    REQUEST_UPGRADE = "request_upgrade"
    WRITE_FEEDBACK = "write_feedback"


READING = frozenset({Permission.SEE_ORG, Permission.SEE_KEYS, Permission.SEE_USAGE})
WORKING = frozenset(
    {
        Permission.ISSUE_KEY,
        Permission.EDIT_KEY,
        Permission.ROTATE_KEY,
        Permission.PAUSE_KEY,
        Permission.REVOKE_KEY,
        Permission.MANAGE_ALERTS,
        Permission.WRITE_FEEDBACK,
    }
)

ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    # An organisation is given away by those who own it.
    Role.MANAGER: frozenset(Permission) - {Permission.HAND_OVER},
    # To ask for another tier, or to let a machine act, is to speak for the organisation.
    Role.DEVELOPER: READING | WORKING,
    Role.VIEWER: READING,
}


class Scope(StrEnum):
    """What an access token is given at most; the role still has its say."""

    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    USAGE_READ = "usage:read"
    ORG_MANAGE = "org:manage"


_KEYS_READ = frozenset({Permission.SEE_ORG, Permission.SEE_KEYS})

# What stands in no scope is done by people alone: to hand an organisation over, to make further tokens, to speak.
IN_SCOPE: dict[Scope, frozenset[Permission]] = {
    Scope.KEYS_READ: _KEYS_READ,
    # What an act on a key answers shows the key.
    Scope.KEYS_WRITE: _KEYS_READ
    | {
        Permission.ISSUE_KEY,
        Permission.EDIT_KEY,
        Permission.ROTATE_KEY,
        Permission.PAUSE_KEY,
        Permission.REVOKE_KEY,
    },
    Scope.USAGE_READ: frozenset({Permission.SEE_ORG, Permission.SEE_USAGE}),
    Scope.ORG_MANAGE: frozenset(
        {
            Permission.SEE_ORG,
            Permission.MANAGE_ORG,
            Permission.MANAGE_MEMBERS,
            Permission.SEE_JOURNAL,
            Permission.MANAGE_ALERTS,
        }
    ),
}


def may(role: Role, permission: Permission) -> bool:
    return permission in ALLOWED[role]


def must_be_allowed(role: Role, permission: Permission) -> None:
    """Raises Forbidden."""
    if not may(role, permission):
        raise Forbidden(f"Your role here, {role.value}, does not allow this.")


def must_be_in_scope(actor: Actor, permission: Permission) -> None:
    """Raises OutOfScope where the actor came with a token that was not given this."""
    if actor.token is None:
        return
    wanted = [scope.value for scope, allowed in IN_SCOPE.items() if permission in allowed]
    if actor.token.scopes.isdisjoint(wanted):
        named = " or ".join(wanted)
        text = f"This token lacks the scope {named}." if named else "No token may do this."
        raise OutOfScope(text)


def roles_given_by(role: Role) -> tuple[Role, ...]:
    """The roles that a member who manages members may give and take: an owner's only owners may."""
    return tuple(each for each in Role if each is not Role.OWNER or may(role, Permission.HAND_OVER))


def must_reach(role: Role, *others: Role) -> None:
    """Raises Forbidden where one of `others` is not in a member's gift."""
    if not set(others) <= set(roles_given_by(role)):
        raise Forbidden("Only owners make and unmake owners.")


def may_invite_as(role: Role, other: Role) -> bool:
    """Whether a member with `role` may invite somebody as `other`."""
    return may(role, Permission.MANAGE_MEMBERS) and other in roles_given_by(role)


def must_be_open(invitation: Invitation | None, *, at: datetime) -> Invitation:
    """The invitation, if it can be accepted now. Raises InvitationOver."""
    if invitation is None or not is_open(invitation) or invitation.expires_at <= at:
        raise InvitationOver
    return invitation


def is_open(invitation: Invitation) -> bool:
    """Whether an invitation waits for its answer; its time may be over all the same."""
    return invitation.accepted_at is None and invitation.revoked_at is None


def must_be_slug(text: str) -> None:
    """Raises BadSlug."""
    if not _SLUG.fullmatch(text) or text in RESERVED_SLUGS:
        raise BadSlug


def slug_from(name: str) -> str:
    """The address form of a name: "Žofie & Co" → "zofie-co"; "org" where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_MAX].strip("-") or "org"
