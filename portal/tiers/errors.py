from portal.core.errors import Conflict, Invalid, Unavailable


class NoTiersYet(Unavailable):
    code = "no_tiers_yet"
    public = (
        "No limits are published yet, so there is no tier to start on. Come back a little later."
    )


class UnknownTier(Invalid):
    code = "unknown_tier"
    public = "There is no such tier."


class TierOffersNothing(Invalid):
    code = "tier_offers_nothing"
    public = "This tier offers no model any more, so that nothing could be called on it."


class SameTier(Conflict):
    code = "same_tier"
    public = "The organisation is on this tier already."


class NoticeTooShort(Invalid):
    """A move to a lower tier without the notice that is promised, and not for abuse."""

    code = "notice_too_short"


class MovedMeanwhile(Conflict):
    """Somebody else was quicker; the text says who, what and when."""

    code = "moved_meanwhile"


class MoveAhead(Conflict):
    """A person has planned a move: what happens by itself does not go past it."""

    code = "move_ahead"
    public = "Somebody has planned a move of this organisation."


class MoveClosed(Conflict):
    code = "move_closed"
    public = "This move was carried out or cancelled in the meantime."


class GrantOver(Conflict):
    code = "grant_over"
    public = "This grant has ended already."


class WithoutEffect(Invalid):
    """A grant that raises nothing as things stand; the text says why."""

    code = "without_effect"
