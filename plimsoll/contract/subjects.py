"""What a change gives values to, and what it needs to be there: who stands on whom."""

from collections.abc import Sequence
from typing import TypeAlias

from plimsoll.contract.announcement import Announcement
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import ALL_MODELS

Subject: TypeAlias = tuple[object, ...]


def subjects_of(announced: Announcement) -> set[Subject]:
    """What a change gives values to."""
    counting = announced.counting
    return {
        *(("limit", row.cell) for row in announced.rows),
        *(("offer", offer.tier, offer.model) for offer in announced.offers),
        *(("tier", tier.slug) for tier in announced.tiers),
        *(("model", model.slug) for model in announced.models),
        *(("text", metric) for metric in counting["texts"]),
        *(
            ("reserve", tier, metric)
            for tier, amounts in counting["reserve"].items()
            for metric in amounts
        ),
    }


def introduced_by(announced: Announcement, known: Lasting) -> set[Subject]:
    """The tiers and models that nobody knew before."""
    return {
        *(("new tier", tier.slug) for tier in announced.tiers if tier.slug not in known.tiers),
        *(("new model", each.slug) for each in announced.models if each.slug not in known.models),
    }


def named_by(announced: Announcement) -> set[Subject]:
    """The tiers and models that must exist for a change to make sense."""
    pairs: Sequence[tuple[str, str]] = [
        *((row.cell.tier, row.cell.model) for row in announced.rows),
        *((offer.tier, offer.model) for offer in announced.offers),
        *((tier, ALL_MODELS) for tier in announced.counting["reserve"]),
    ]
    tiers = {("new tier", tier) for tier, _ in pairs}
    return {*tiers, *(("new model", model) for _, model in pairs)}
