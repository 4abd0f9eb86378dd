from portal.core.errors import Conflict, Invalid


class NotByRequest(Conflict):
    """A tier that cannot be requested as things stand; the text says why."""

    code = "not_by_request"


class RequestOpen(Conflict):
    code = "request_open"
    public = "A request for this tier is open already. One at a time can be."


class RequestMoved(Conflict):
    """The request is not as it was seen, or not in a state for this; the text says who, what and when."""

    code = "request_moved"


class RequirementsOpen(Conflict):
    """An approval while a published requirement is not met; the text says which."""

    code = "requirements_open"


class NothingExpected(Invalid):
    code = "nothing_expected"
    public = "Say how much you expect to use, of one limit at least."
