from plimsoll.contract.records import WIRE_VERSION
from portal.core.errors import Conflict, Invalid, NotFound, PortalError, Unavailable


class BadToken(PortalError):
    status = 401
    code = "token_invalid"
    public = "The gateway token is missing, wrong, or of a removed gateway."


class TooOld(PortalError):
    status = 426
    code = "sync_version"
    public = (
        f"This portal speaks version {WIRE_VERSION} of the sync API: send `Sync-Version: {WIRE_VERSION}`."
        " A gateway that cannot is too old: upgrade it. Until then it decides from its copy."
    )


class CursorMalformed(Invalid):
    status = 400
    code = "cursor_malformed"
    public = "A cursor is <epoch>.<revision>.<8 hex digits>."


class SnapshotRequired(Conflict):
    code = "snapshot_required"
    public = "This cursor is of another history: start again without one."


class StreamsFull(Unavailable):
    code = "streams_full"
    public = "All places for watchers are taken: try again in a few seconds."
    retry_after = 5


class GatewayNameTaken(Invalid):
    code = "gateway_name_taken"
    public = "A gateway has this name already."


class NoSuchGateway(NotFound):
    code = "no_such_gateway"
    public = "There is no gateway of this name."
