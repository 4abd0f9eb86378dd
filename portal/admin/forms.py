from collections.abc import Iterable

from wtforms import RadioField
from wtforms.validators import InputRequired

from plimsoll.contract.terms import Tier
from portal.web.forms import BaseForm, reason_field


class AssignTierForm(BaseForm):
    tier = RadioField("Tier", validators=[InputRequired("Choose a tier.")])
    reason = reason_field("Reason", description="The owners read it in a mail, and the staff here.")

    def offer(self, tiers: Iterable[Tier]) -> "AssignTierForm":
        """Say which tiers can be chosen."""
        self.tier.choices = [(tier.slug, tier.name) for tier in tiers]
        return self


class ReasonForm(BaseForm):
    reason = reason_field("Reason", description="The owners read it in a mail and in the portal.")
