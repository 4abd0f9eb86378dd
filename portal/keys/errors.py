from portal.core.errors import Conflict, Forbidden, Invalid


class NameTaken(Invalid):
    code = "name_taken"
    public = "A key that is not revoked has this name already."


class KeysMaxReached(Conflict):
    code = "keys_max_reached"


class NotConfirmed(Conflict):
    code = "not_confirmed"
    public = "Confirm your e-mail address first: keys are issued after that."


class NotAnIssuer(Forbidden):
    code = "not_an_issuer"


class KeyEnded(Conflict):
    """The act asks for a key that is not revoked or expired."""

    code = "key_ended"


class KeyRotated(Conflict):
    code = "key_rotated"
    public = "This key was rotated already. Rotate the key that took its place."
