from portal.core.errors import Conflict


class AlreadySuspended(Conflict):
    code = "already_suspended"
    public = "This organisation is suspended already."


class NotSuspended(Conflict):
    code = "not_suspended"
    public = "This organisation is not suspended."


class SlugTaken(Conflict):
    """Somebody else founded an organisation of the same name in the same instant: try once more."""

    code = "slug_taken"
    public = "An organisation of this name was created just now. Send the form again."


class AlreadyTold(Conflict):
    """The same message was sent to the same owners before: a form that was sent twice."""

    code = "already_told"
    public = "The owners have this message already."
