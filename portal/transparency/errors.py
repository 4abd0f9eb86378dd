from portal.core.errors import Conflict, Invalid, Unavailable


class UnlawfulEntry(Invalid):
    """`public` is the rule's own text, `earliest` the first lawful instant where there is one."""

    code = "unlawful_entry"

    def __init__(
        self, public: str, *, detail: str | None = None, earliest: int | None = None
    ) -> None:
        super().__init__(public, detail=detail)
        self.earliest = earliest


class LogTroubled(Unavailable):
    code = "log_troubled"
    public = "The public log takes nothing at the moment."


class NotSigned(Unavailable):
    code = "not_signed"
    public = "This is recorded, but not signed yet, so it is not in force."


class LogUnverified(Unavailable):
    code = "log_unverified"
    public = "The public log does not verify at the moment, so no limits can be shown from it."


class NothingToRecover(Conflict):
    code = "nothing_to_recover"
    public = "The database holds every signed entry: there is nothing to recover."


class NothingToDiscard(Conflict):
    code = "nothing_to_discard"
    public = "No entry is refused by the signer: there is nothing to discard."


class NotMended(Conflict):
    """The log has another trouble than the one that the act mends; `public` says which."""

    code = "not_mended"
