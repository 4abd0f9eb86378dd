from portal.core.errors import Invalid, Unavailable


class UnlawfulEntry(Invalid):
    """`public` is the rule's own text."""

    code = "unlawful_entry"


class LogTroubled(Unavailable):
    code = "log_troubled"
    public = "The public log takes nothing at the moment."


class NotSigned(Unavailable):
    code = "not_signed"
    public = "This is recorded, but not signed yet, so it is not in force."


class LogUnverified(Unavailable):
    code = "log_unverified"
    public = "The public log does not verify at the moment, so no limits can be shown from it."
