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
