"""What the table of permissions says, as people read it."""

from portal.orgs.models import Role
from portal.orgs.policy import Permission, may

_WORDS = {
    Permission.SEE_ORG: "See the overview, the tier and the members",
    Permission.MANAGE_ORG: "Change name, address and rules",
    Permission.MANAGE_MEMBERS: "Invite, change and remove members",
    Permission.HAND_OVER: "Make and unmake owners, hand the organisation over",
    Permission.SEE_JOURNAL: "Read the journal",
    Permission.SEE_KEYS: "See API keys, never their secrets",
    Permission.ISSUE_KEY: "Issue keys",
    Permission.EDIT_KEY: "Rename and narrow keys",
    Permission.ROTATE_KEY: "Rotate keys",
    Permission.PAUSE_KEY: "Pause and resume keys",
    Permission.REVOKE_KEY: "Revoke keys",
    Permission.SEE_USAGE: "See usage",
    Permission.MANAGE_ALERTS: "Set warnings",
    Permission.MANAGE_TOKENS: "Manage access tokens of the organisation",
    Permission.REQUEST_UPGRADE: "Ask for a higher tier",
}


def in_words(permission: Permission) -> str:
    """What a permission allows."""
    return _WORDS.get(permission, permission.value.replace("_", " ").capitalize())


def permission_rows() -> list[tuple[str, list[bool]]]:
    """Each permission in words, and for each role, in their order, whether it has it."""
    return [(in_words(each), [may(role, each) for role in Role]) for each in Permission]
