from collections.abc import Iterable, Mapping

from wtforms import BooleanField, HiddenField, RadioField, SelectField, StringField
from wtforms.validators import InputRequired, Length

from plimsoll.contract.terms import Tier
from portal.tiers.grants import GrantRequest
from portal.tiers.moves import TierDecision
from portal.tiers.words import Identity
from portal.web.forms import (
    BaseForm,
    UtcInstantField,
    WholeNumberField,
    must_be_plain,
    reason_field,
    text_area_field,
    tidy_line,
)

SUBJECT_MAX = 120
TEXT_MAX = 5000

NOT_WITHOUT_NOTICE = (
    "A move to a lower tier needs the promised notice. Tick this only where the organisation abused "
    "the API: the move then needs none, the owners are told that it is for abuse, and the journal keeps it."
)


class TierFields(BaseForm):
    """The fields of a decision about tiers, for one organisation or many."""

    tier = RadioField("Tier", validators=[InputRequired("Choose a tier.")])
    effective_at = UtcInstantField(
        "From (UTC)",
        description="Empty: at once. At a date a job of the portal makes the move; "
        "if the portal is down then, it makes it as soon as it runs again.",
    )
    for_abuse = BooleanField("For abuse, without notice", description=NOT_WITHOUT_NOTICE)
    reason = reason_field("Reason", description="The owners read it in a mail and in the portal.")

    def offer(self, tiers: Iterable[Tier]) -> None:
        """Say which tiers can be chosen."""
        self.tier.choices = [(tier.slug, tier.name) for tier in tiers]

    def decision(self, *, seen: str | None, batch: str | None = None) -> TierDecision:
        """What was decided."""
        return TierDecision(
            tier=self.tier.data,
            reason=self.reason.data or "",
            effective_at=self.effective_at.data,
            for_abuse=bool(self.for_abuse.data),
            seen=seen,
            batch=batch,
        )


class AssignTierForm(TierFields):
    # How the organisation stood when the page was made; whoever was quicker is named.
    seen = HiddenField()


class ReasonForm(BaseForm):
    reason = reason_field("Reason", description="The owners read it in a mail and in the portal.")


class GrantForm(BaseForm):
    limit = SelectField("Limit", validators=[InputRequired("Choose a limit.")])
    quota = WholeNumberField(
        "Raised to",
        validators=[InputRequired("Give a whole number.")],
        description="In the limit's own unit; spend in millionths of a dollar: $1 is 1,000,000.",
    )
    burst = WholeNumberField(
        "At most in one go",
        description="For limits that refill continuously. Empty: the same number.",
    )
    starts_at = UtcInstantField("From (UTC)", description="Empty: at once.")
    ends_at = UtcInstantField(
        "Until (UTC)",
        validators=[InputRequired("A grant has an end.")],
        description="It ends at this instant at every gateway, also at one that is cut off.",
    )
    reason = reason_field("Reason", description="The owners read it in a mail and in the portal.")
    anyway = BooleanField(
        "Grant it all the same",
        description="It may raise something later: on another tier, or when a limit falls.",
    )

    def offer(self, groups: Mapping[str, Iterable[tuple[str, str]]]) -> None:
        """Say which limits can be raised, in groups: value and words of each."""
        self.limit.choices = {name: list(options) for name, options in groups.items()}

    def request(self, limits: Mapping[str, Identity]) -> GrantRequest:
        """What was granted; `limits` by the values that `offer` gave."""
        assert self.quota.data is not None  # noqa: S101 -- validated
        assert self.ends_at.data is not None  # noqa: S101 -- validated
        return GrantRequest(
            limit=limits[self.limit.data],
            quota=self.quota.data,
            burst=self.burst.data,
            starts_at=self.starts_at.data,
            ends_at=self.ends_at.data,
            reason=self.reason.data or "",
            anyway=bool(self.anyway.data),
        )


class BulkTierForm(TierFields):
    """One decision for many."""


class BulkMessageForm(BaseForm):
    subject = StringField(
        "Subject",
        filters=[tidy_line],
        validators=[
            InputRequired("Give a subject."),
            Length(max=SUBJECT_MAX, message=f"Use at most {SUBJECT_MAX} characters."),
            must_be_plain,
        ],
    )
    text = text_area_field("Text", most=TEXT_MAX, missing="Write what the owners shall read.")
