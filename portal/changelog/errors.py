from portal.core.errors import Conflict, Invalid, NotFound


class BadCatalog(Invalid):
    """`field` is the path of the offending field, such as `rows[3].quota`."""

    code = "bad_catalog"


class AlreadyPublished(Conflict):
    code = "already_published"
    public = "Change 1 is published already. A catalogue can only be the beginning."


class NothingPublished(Conflict):
    code = "nothing_published"
    public = "No catalogue is published yet. Publish one first: it becomes change 1."


class BadChange(Invalid):
    """`field` is the path of the offending field, such as `rows[3].quota`, where it is one."""

    code = "bad_change"


class StaleDraft(Conflict):
    """What the draft starts from has moved since it was saved."""

    code = "stale_draft"


class DraftEnded(Conflict):
    code = "draft_ended"
    public = "This draft was published or discarded already."


class AlreadyHeld(Conflict):
    code = "already_held"
    public = "The change is held under this name already."


class NotHeld(Conflict):
    code = "not_held"
    public = "The change is not held under this name."


class WaitsForDecision(Conflict):
    code = "waits_for_decision"
    public = "This hold is the board's own. To end it, decide the feedback thread of the change."


class AlreadyWithdrawn(Conflict):
    code = "already_withdrawn"
    public = "This announcement is withdrawn already."


class UnknownTier(Invalid):
    code = "unknown_tier"
    public = "Choose a tier that is published, or all of them."


class AlreadySubscribed(Conflict):
    code = "already_subscribed"
    public = "You subscribe to this already."


class AddressUnconfirmed(Conflict):
    code = "address_unconfirmed"
    public = "First confirm your address: your overview says how."


class WordsLost(NotFound):
    """The log kept the hash, the database lost the text."""

    code = "words_lost"

    def __init__(self, sha256: str) -> None:
        super().__init__(
            f"These words are lost. What the log holds of them is their SHA-256: {sha256}."
        )
