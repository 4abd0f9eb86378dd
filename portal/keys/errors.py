from portal.core.errors import Conflict, Invalid


class NameTaken(Invalid):
    code = "name_taken"
    public = "A key that is not revoked has this name already."


class KeysMaxReached(Conflict):
    code = "keys_max_reached"


class NotConfirmed(Conflict):
    code = "not_confirmed"
    public = "Confirm your e-mail address first: keys are issued after that."
