from portal.core.errors import Invalid, PortalError


class NameTaken(Invalid):
    code = "name_taken"
    public = "A token that is not revoked has this name already."


class NotConfirmed(Invalid):
    """Else a token made under somebody else's address would outlive their proof that it is theirs."""

    code = "not_confirmed"
    public = "Confirm your e-mail address first: tokens are issued after that."


class NotLetIn(PortalError):
    """No token that opens anything came with the request."""

    status = 401


class TokenMissing(NotLetIn):
    code = "token_missing"
    public = "Send an access token: `Authorization: Bearer …`."


class TokenUnknown(NotLetIn):
    code = "token_unknown"
    public = "This is no access token of this portal."


class TokenRevoked(NotLetIn):
    code = "token_revoked"
    public = "This access token is revoked."


class TokenExpired(NotLetIn):
    code = "token_expired"
    public = "This access token has expired."
