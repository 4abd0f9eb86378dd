import re
from collections.abc import Iterable
from typing import Any

from wtforms import (
    BooleanField,
    Field,
    RadioField,
    SelectField,
    SelectMultipleField,
    TextAreaField,
    ValidationError,
)
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length
from wtforms.widgets import CheckboxInput, ListWidget

from plimsoll.contract.wording import duration
from portal.accounts.confirm import ProofForm
from portal.keys.commands import KeyRequest
from portal.keys.models import Environment
from portal.keys.policy import GRACE_MAX_SECONDS, ISSUERS, LIFE_MAX_DAYS, Rules, people_in
from portal.keys.rotation import Rotation
from portal.orgs.models import Role
from portal.web.forms import (
    BaseForm,
    UtcInstantField,
    WholeNumberField,
    name_field,
    reason_field,
)

GRACES = (0, 3600, 86_400, 604_800)
OTHER = "other"
_SECONDS = re.compile(r"[0-9]{1,16}", re.ASCII)


class IssueKeyForm(ProofForm):
    name = name_field("Name", description="What will use it, such as “billing worker”.")
    environment = RadioField(
        "Environment",
        choices=[SelectChoice(each.value, each.value.capitalize()) for each in Environment],
        default=Environment.LIVE.value,
        description="Test keys reach the same limits; the API is told that it is a test.",
    )
    expires_at = UtcInstantField("Ends at (UTC)", description="Empty: it never ends by itself.")
    models = SelectMultipleField(
        "Models",
        description="Tick none to allow every model that your tier offers.",
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    networks = TextAreaField(
        "Networks",
        description="One a line, such as 203.0.113.0/24. Empty: from anywhere.",
        validators=[Length(max=5000, message="Use at most 5,000 characters.")],
    )

    def offer(self, models: Iterable[str]) -> "IssueKeyForm":
        """Say which models can be ticked."""
        self.models.choices = [SelectChoice(model, model) for model in models]
        return self

    def asked(self) -> KeyRequest:
        """What the form says, as the command takes it."""
        return KeyRequest(
            name=self.name.data,
            environment=Environment(self.environment.data),
            expires_at=self.expires_at.data,
            models=self.models.data or (),
            networks=(self.networks.data or "").splitlines(),
        )


class RevokeKeyForm(BaseForm):
    reason = reason_field(
        "Reason", description="It stays with the key, for you and your colleagues."
    )


class RenameKeyForm(BaseForm):
    name = name_field("Name", description="What uses it, such as “billing worker”.")


class PauseKeyForm(BaseForm):
    """Nothing to fill in."""


class ResumeKeyForm(BaseForm):
    """Nothing to fill in."""


class RotateKeyForm(ProofForm):
    grace_seconds = RadioField(
        "The old secret ends",
        choices=[
            *(
                SelectChoice(str(each), f"after {duration(each)}" if each else "at once")
                for each in GRACES
            ),
            SelectChoice(OTHER, "after as many seconds as I say below"),
        ],
        default=str(GRACES[2]),
        # A script may say any number here, and need not know what people are offered.
        validate_choice=False,
        validators=[InputRequired("Say how long the old secret goes on.")],
        description="Until then old and new both work. It never goes on longer than it would have.",
    )
    grace_chosen = WholeNumberField(
        "Seconds", description=f"Up to {GRACE_MAX_SECONDS:,}, which are 30 days."
    )
    expires_at = UtcInstantField("The new key ends at (UTC)")

    def validate_grace_seconds(self, field: Field) -> None:
        if field.data == OTHER and self.grace_chosen.data is None and not self.grace_chosen.errors:
            raise ValidationError("Give the number of seconds below.")
        if field.data != OTHER and not _SECONDS.fullmatch(field.data):
            raise ValidationError("Give a whole number of seconds.")

    def asked(self) -> Rotation:
        """What the form says, as the command takes it."""
        said = self.grace_seconds.data
        seconds = self.grace_chosen.data if said == OTHER else int(said)
        assert seconds is not None  # noqa: S101 -- validated
        return Rotation(grace_seconds=seconds, expires_at=self.expires_at.data)


class CapForm(BaseForm):
    limit = SelectField("Limit", validators=[InputRequired("Choose a limit.")])
    quota = WholeNumberField(
        "At most",
        validators=[InputRequired("Give a whole number.")],
        description="In the limit's own unit, and lower than it; spend in millionths of a dollar: $1 is "
        "1,000,000. 0 lets nothing pass.",
    )


class RemoveCapForm(BaseForm):
    limit = SelectField("Limit", validators=[InputRequired("Choose a limit.")])


class KeyRulesForm(ProofForm):
    max_days = WholeNumberField(
        "Longest life, in days",
        description="Of keys issued or rotated from now on. Empty: as long as whoever issues it likes.",
    )
    expiry_required = BooleanField("Each new key has an end")
    issuers = RadioField(
        "Who may issue and rotate keys",
        choices=[
            SelectChoice(role.value, people_in(ISSUERS[: number + 1]))
            for number, role in enumerate(ISSUERS)
        ],
        validators=[InputRequired("Choose who.")],
    )
    pause_leaked = BooleanField(
        "Pause a key at once when its secret is found in public",
        description="Programs that use it stop until somebody here resumes or rotates it.",
    )

    @classmethod
    def of(cls, rules: Rules) -> "KeyRulesForm":
        """The form as it stands before anybody changes it."""
        return cls(
            max_days=rules.max_days,
            expiry_required=rules.expiry_required,
            issuers=rules.issuers.value,
            pause_leaked=rules.pause_leaked,
        )

    def validate_max_days(self, field: Field) -> None:
        if field.data is not None and not 1 <= field.data <= LIFE_MAX_DAYS:
            raise ValidationError(f"Use 1 to {LIFE_MAX_DAYS:,} days.")

    def asked(self) -> Rules:
        """What the form says, as the command takes it."""
        values: dict[str, Any] = {
            "max_days": self.max_days.data,
            "expiry_required": bool(self.expiry_required.data),
            "pause_leaked": bool(self.pause_leaked.data),
        }
        return Rules(issuers=Role(self.issuers.data), **values)
