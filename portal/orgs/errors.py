from portal.core.errors import Conflict


class AlreadySuspended(Conflict):
    code = "already_suspended"
    public = "This organisation is suspended already."


class NotSuspended(Conflict):
    code = "not_suspended"
    public = "This organisation is not suspended."
