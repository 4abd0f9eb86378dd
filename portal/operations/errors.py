from portal.core.errors import Conflict, PortalError


class BackupFailed(PortalError):
    """`public` says which step, in words for whoever runs the command."""

    code = "backup_failed"


class NotEmpty(Conflict):
    """Something is where a backup was to be written, or restored to."""

    code = "not_empty"


class DrillFailed(PortalError):
    code = "drill_failed"
    public = "The backup does not restore: see the step above."
