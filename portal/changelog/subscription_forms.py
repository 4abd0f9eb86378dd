from collections.abc import Iterable

from wtforms import RadioField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired

from portal.web.forms import BaseForm

ALL = "*"  # no slug


class SubscribeForm(BaseForm):
    tier = RadioField(
        "Mail me about",
        validators=[InputRequired("Choose what you want to be told about.")],
        validate_choice=False,  # the command says it better, and knows what is published
        description="A mail comes when such a change is announced or altered, before it takes"
        " effect, and when it does.",
    )

    def offer(self, tiers: Iterable[tuple[str, str]]) -> "SubscribeForm":
        """Say which tiers can be chosen, as (slug, name)."""
        named = [SelectChoice(slug, f"Changes of {name}") for slug, name in tiers]
        self.tier.choices = [SelectChoice(ALL, "Changes of every tier"), *named]
        return self

    def asked(self) -> str | None:
        """The tier's slug, or None for all of them."""
        return None if self.tier.data == ALL else self.tier.data
