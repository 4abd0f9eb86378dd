"""What can go wrong through the caller's doing, as one tree.

PortalError
├── NotFound      404  it is not there, or not for you to see
├── Forbidden     403  you see it, but may not do this
├── Conflict      409  it is no longer in the state you acted on
├── Gone          410  the link was used, or its time is over
├── Invalid       422  a value breaks a rule; `field` names it
├── TooMany       429  throttled; `retry_after` in seconds
└── Unavailable   503  try again later
"""

from typing import ClassVar


class PortalError(Exception):
    """A failure with a stable code, a text that may be shown, and a status.

    `public` is shown to people; the exception's own message goes to the server's log only.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "error"
    public: str = "Something went wrong."

    def __init__(self, public: str | None = None, *, detail: str | None = None) -> None:
        self.public = public or self.public
        super().__init__(detail or self.public)


class NotFound(PortalError):
    status = 404
    code = "not_found"
    public = "There is nothing at this address, or it is not yours to see."


class Forbidden(PortalError):
    status = 403
    code = "forbidden"
    public = "Your role does not allow this."


class Conflict(PortalError):
    status = 409
    code = "conflict"
    public = "This changed while you were looking at it."


class Gone(PortalError):
    status = 410
    code = "gone"
    public = "This link was used already, or its time is over."


class Invalid(PortalError):
    status = 422
    code = "invalid"
    public = "A value is not right."

    def __init__(
        self, public: str | None = None, *, field: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(public, detail=detail)
        self.field = field


class TooMany(PortalError):
    status = 429
    code = "too_many"
    public = "Too many attempts. Wait a while, then try again."

    def __init__(self, public: str | None = None, *, retry_after: int = 60) -> None:
        super().__init__(public)
        self.retry_after = retry_after


class Unavailable(PortalError):
    status = 503
    code = "unavailable"
    public = "This part is not available at the moment."
