"""Why the portal does not take an API key, with the gate's own codes and statuses (EXACT 23)."""

from portal.core.errors import Forbidden, PortalError


class KeyNotTaken(PortalError):
    """Nobody's key: a caller who shows a right one gets in."""

    status = 401
    code = "key_unknown"
    public = "No organisation has this key."


class KeyMissing(KeyNotTaken):
    code = "key_missing"
    public = "Send your key as `Authorization: Bearer <key>` or `x-api-key: <key>`."


class KeyMalformed(KeyNotTaken):
    code = "key_malformed"
    public = "The text sent is mistyped or cut off: its form or its checksum does not fit."


class KeyRevoked(KeyNotTaken):
    code = "key_revoked"
    public = "This key was revoked. It can never be used again. Issue a new one."


class KeyExpired(KeyNotTaken):
    code = "key_expired"
    public = "The time of this key is over. Issue a new one."


class KeyPaused(Forbidden):
    code = "key_paused"
    public = "Your organisation has paused this key and can resume it."


class OrgSuspended(Forbidden):
    code = "org_suspended"
    public = "None of your organisation's keys can be used until the provider lifts the suspension."


class NetworkNotAllowed(Forbidden):
    code = "network_not_allowed"
    public = "Your organisation allows this key from other networks only."
